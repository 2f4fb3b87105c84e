"""The page in a real Chromium with the real server."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Route, expect

from browsing import Visit, file, launch_browser, visit_page
from liveserver import run_server
from pictag import __version__, pipeline
from pictag.keywords import Keyworder
from tinymodel import make_image, make_tiny_model

HOSTILE = '<img src=x onerror="document.title=1">'
KEY = "open sesame"
MAX_BODY_BYTES = 2**20
MAX_PIXELS = 10_000
COLOURS = "tests/colours"
WORDY = ("red, " * 50, "g" * 200, "blue")
CATS = ("n02123045", "n02123159", "n07753592")  # tabby, tiger cat, banana
AWKWARD = ("=1+1", '-2" pipe, "valve",\r\nopen', "@blue")
NAMES = ["a.png", "Screenshot from 2026-11-28 01-34-12.png", f"{'very-' * 38}longer.png"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("page")


@pytest.fixture(scope="module")
def models(folder: Path) -> list[str]:
    """Six models: colours, cats, three with HTML, very long or formula-like labels, and the embedded one."""
    make_tiny_model(folder / "colours")
    make_tiny_model(
        folder / "hostile", labels=(HOSTILE, "</li><script>alert(1)</script>", "\u202eblue\x1b[2J")
    )
    make_tiny_model(folder / "cats", labels=CATS)
    make_tiny_model(folder / "wordy", labels=WORDY)
    make_tiny_model(folder / "awkward", labels=AWKWARD)
    return [
        f"{COLOURS}={folder / 'colours'}",
        f"hostile={folder / 'hostile'}",
        f"wordy={folder / 'wordy'}",
        f"awkward={folder / 'awkward'}",
        f"cats={folder / 'cats'}",
        "embedded",
    ]


@pytest.fixture(scope="module")
def address(models: list[str], browser: Browser) -> Iterator[str]:
    with run_server(models=models, max_body_bytes=MAX_BODY_BYTES, max_pixels=MAX_PIXELS) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def locked_address(models: list[str], browser: Browser) -> Iterator[str]:
    """A server that requires an API key."""
    with run_server(models=models, api_key=KEY) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    with visit_page(browser, address) as visit:
        yield visit


@pytest.fixture(scope="module")
def red(folder: Path) -> Path:
    return make_image(folder / "red.png", "red")


@pytest.fixture(scope="module")
def blue(folder: Path) -> Path:
    return make_image(folder / "blue.png", "blue")


def test_the_page_shows_the_same_labels_as_the_library(visit: Visit, folder: Path, blue: Path) -> None:
    with pipeline("image-classification", model=folder / "colours") as classifier:
        (expected,) = classifier.predict(blue, top_k=3)
    visit.give(blue)
    assert visit.labels("blue.png") == [(label.label, f"{label.score:.1%}") for label in expected.labels]
    bars = visit.card("blue.png").locator(".bar > span")
    widths = bars.evaluate_all("bars => bars.map((bar) => parseFloat(bar.style.inlineSize))")
    assert widths == pytest.approx([100 * label.score for label in expected.labels], abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_concepts_of_the_library_are_shown_above_the_labels(
    browser: Browser, address: str, folder: Path, red: Path, scheme: str
) -> None:
    with pipeline("image-classification", model=folder / "cats") as classifier:
        (expected,) = Keyworder(classifier).suggest(red)
    with visit_page(browser, address, color_scheme=scheme) as visit:
        visit.page.select_option("#model", "cats")
        visit.give(red)
        visit.settle()
        concepts = visit.page.get_by_role("list", name="Concepts of red.png")
        shown = [f"{k.keyword} {k.score:.1%}" for k in expected.keywords if k.kind == "concept"]
        assert concepts.locator("li").all_inner_texts() == shown
        assert shown[0].startswith("cat ")
        assert len(visit.labels("red.png")) == 3
        places = [concepts.bounding_box(), visit.card("red.png").locator(".labels").bounding_box()]
        assert places[0]["y"] + places[0]["height"] <= places[1]["y"]  # type: ignore[index]
        expect(visit.page.get_by_role("status")).to_contain_text("red.png: cat, ")
        assert visit.posts == [f"{address}/v1/keywords?model=cats&top_k=3"], "one request for both"
        expect(visit.page.locator("#curl")).to_contain_text("/v1/keywords?model=cats&top_k=3'")
        assert find_problems(visit) == {}


def test_without_concepts_only_labels_are_shown(visit: Visit, folder: Path, red: Path) -> None:
    """The model has none, or none is certain enough."""
    visit.give(red)
    visit.settle()
    expect(visit.card("red.png").locator(".concepts")).to_be_hidden()
    visit.page.select_option("#model", "cats")
    expect(visit.card("red.png").locator(".concepts")).to_be_visible()
    visit.page.get_by_role("button", name="Clear").click()
    Image.new("RGB", (12, 9), "grey").save(folder / "grey.png")
    visit.give(folder / "grey.png")
    visit.settle()
    expect(visit.card("grey.png").locator(".labels li")).to_have_count(3)
    expect(visit.card("grey.png").locator(".concepts")).to_be_hidden()


def test_a_model_that_is_loaded_by_the_first_image_shows_its_concepts_or_its_raw_scores(
    browser: Browser, folder: Path, red: Path
) -> None:
    raw = make_tiny_model(folder / "raw", labels=CATS)
    config = json.loads((raw / "config.json").read_text("utf-8")) | {"problem_type": "regression"}
    (raw / "config.json").write_text(json.dumps(config), encoding="utf-8")
    models = [f"cats={folder / 'cats'}", f"raw={raw}"]
    with (
        run_server(models=models, preload=False) as server,
        visit_page(browser, f"http://127.0.0.1:{server.port}") as visit,
    ):
        visit.give(red)
        visit.settle()
        expect(visit.card("red.png").locator(".concepts li").first).to_contain_text("cat ")
        visit.page.select_option("#model", "raw")
        visit.settle()
        expect(visit.card("red.png").locator(".labels .score").first).not_to_contain_text("%")
        expect(visit.card("red.png").locator(".concepts")).to_be_hidden()


def test_images_and_folders_can_be_dropped(visit: Visit, folder: Path, red: Path) -> None:
    for name, colour in {"10.png": "red", "9.png": "blue", "deep/1.png": "green"}.items():
        make_image(folder / "album" / name, colour)
    (folder / "album" / "notes.txt").write_text("no image")
    visit.drop(folder / "album", red)
    visit.settle()
    assert visit.page.locator("h3").all_text_contents() == ["9.png", "10.png", "1.png", "red.png"]
    best = visit.page.locator(".labels li:first-child .label").all_text_contents()
    assert best == ["blue", "red", "green", "red"]
    (folder / "letters").mkdir()
    visit.drop(folder / "letters")
    expect(visit.page.get_by_role("alert")).to_contain_text("No images found.")


@pytest.mark.parametrize(
    ("text", "media_type", "advice"),
    [
        ("https://example.org/cat.jpg", "text/uri-list", "This is a URL"),
        ("https://example.org/cat.jpg", "text/plain", "This is a URL"),
        ("data:image/png;base64,iVBORw0KGgo=", "text/plain", "This is a URL"),
        ("a cat", "text/plain", "This is text, not an image. Drop, paste or choose an image file."),
    ],
)
def test_dropped_or_pasted_text_shows_what_to_do_instead(
    visit: Visit, red: Path, text: str, media_type: str, advice: str
) -> None:
    """The message disappears when an image is added. The browser doesn't open a dropped URL."""
    page, shown = visit.page, visit.page.get_by_role("alert")
    visit.drop_text(text, media_type)
    expect(shown).to_contain_text(advice)
    visit.give(red)
    expect(shown).to_be_hidden()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    visit.paste_text(text)
    expect(shown).to_contain_text(advice)
    expect(shown).to_be_in_viewport()
    assert visit.labels("red.png")[0][0] == "red"
    assert page.locator(".card").count() == 1


def test_text_can_be_pasted_and_dropped_into_a_field(browser: Browser, locked_address: str) -> None:
    with visit_page(browser, locked_address) as visit:
        field = visit.page.get_by_label("This server asks for an API key")
        expect(field).to_be_focused()
        visit.paste_text(KEY[:4])
        expect(field).to_have_value(KEY[:4])
        field.fill("")
        visit.drop_text(KEY, "text/plain", "#key")
        expect(field).to_have_value(KEY)
        expect(visit.page.get_by_role("alert")).to_be_hidden()


def test_a_server_that_was_unreachable_can_be_tried_again_after_other_advice(visit: Visit) -> None:
    page = visit.page
    page.route("**/models", lambda route: route.abort())
    page.reload()
    expect(page.locator("#trouble")).to_contain_text("The server could not be reached.")
    visit.paste_text("a cat")
    expect(page.locator("#advice")).to_contain_text("This is text")
    page.unroute("**/models")
    page.locator("#trouble").get_by_role("button", name="Try again").click()
    expect(page.locator("#model")).to_be_enabled()


def test_an_image_can_be_pasted(visit: Visit) -> None:
    visit.page.evaluate(
        """async () => {
            const canvas = new OffscreenCanvas(20, 20);
            canvas.getContext("2d").fillStyle = "blue";
            canvas.getContext("2d").fillRect(0, 0, 20, 20);
            const image = await canvas.convertToBlob();
            await navigator.clipboard.write([new ClipboardItem({ "image/png": image })]);
        }"""
    )
    visit.page.keyboard.press("Control+v")
    assert visit.labels("image.png")[0][0] == "blue"


def test_the_page_can_be_used_with_the_keyboard_only(visit: Visit, red: Path, blue: Path) -> None:
    page, press = visit.page, visit.page.keyboard.press
    page.on("filechooser", lambda _: None)  # so that Chromium intercepts the dialog
    expect(page.locator("#model")).to_be_enabled()
    press("Tab")
    expect(page.get_by_role("button", name="Choose images")).to_be_focused()
    outline = page.locator("#files + label").evaluate("label => getComputedStyle(label).outlineStyle")
    assert outline == "solid", "the focus must be visible"
    with page.expect_file_chooser() as chooser:
        press("Enter")
    chooser.value.set_files([red, blue])
    visit.settle()
    for expected in ("#model", "#top-k", "#copy-results", "#download-csv", "#download-json", "#clear"):
        press("Tab")
        expect(page.locator(expected)).to_be_focused()
    press("Tab")
    expect(page.get_by_role("button", name="Remove red.png")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("button", name="Remove blue.png")).to_be_focused()
    press("Enter")
    expect(page.locator(".card")).to_have_count(0)
    expect(page.get_by_role("button", name="Choose images")).to_be_focused()
    for expected in ("#model", "#top-k", "#copy", "footer a"):
        press("Tab")
        expect(page.locator(expected)).to_be_focused()


def test_screen_readers_get_status_updates(visit: Visit, red: Path, blue: Path) -> None:
    visit.give(red)
    expect(visit.page.get_by_role("status")).to_contain_text("red.png: red, ")
    expect(visit.page.get_by_role("list", name="Labels of red.png")).to_match_aria_snapshot(
        """
        - list "Labels of red.png":
            - listitem: /red \\d+\\.\\d%/
            - listitem: /(green|blue) \\d+\\.\\d%/
            - listitem: /(green|blue) \\d+\\.\\d%/
        """
    )
    visit.give(red, blue, red)
    expect(visit.page.get_by_role("status")).to_have_text("4 of 4 done.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_problems(browser: Browser, address: str, red: Path, scheme: str) -> None:
    with visit_page(browser, address, color_scheme=scheme) as visit:
        visit.page.select_option("#model", "embedded")
        visit.page.fill("#top-k", "20")
        visit.page.keyboard.press("Tab")
        visit.give(red, file("bad.png", b"bad"))
        visit.settle()
        expect(visit.card("red.png").locator(".labels li")).to_have_count(20)
        visit.page.fill("#top-k", "0")
        visit.page.keyboard.press("Tab")
        visit.paste_text("a cat")
        for seldom in ("key-form", "trouble"):
            visit.page.locator(f"#{seldom}").evaluate("notice => { notice.hidden = false; }")
        visit.page.locator("#trouble-text").evaluate("text => { text.textContent = 'A trouble'; }")
        assert find_problems(visit) == {}


def find_problems(visit: Visit) -> dict[str, list[str]]:
    """What axe finds: a rule, and the elements that break it."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    visit.page.evaluate(axe + ";0")
    found = visit.page.evaluate("axe.run()")
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    return {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found["violations"]}


def test_an_image_that_fails_does_not_affect_the_others(visit: Visit, red: Path, blue: Path) -> None:
    visit.give(file("large.png", b"\0" * (MAX_BODY_BYTES + 1)), red, file("letter.jpg", b"Dear Sir"), blue)
    visit.settle()
    expect(visit.page.locator("#progress")).to_have_text("4 of 4 done, 2 failed")
    expect(visit.card("letter.jpg").locator(".state")).to_contain_text("image")
    expect(visit.card("letter.jpg").locator(".state small")).to_contain_text("Request ")
    expect(visit.card("large.png").locator(".state")).to_contain_text("the limit of this server is 1.0 MiB")
    assert len(visit.posts) == 3, "the large file is not sent, and each other file once"
    assert visit.labels("blue.png")[0][0] == "blue"


def test_errors_contain_no_advice_for_operators(visit: Visit, folder: Path) -> None:
    vast = make_image(folder / "vast.png", "red", size=(200, 100))
    visit.give(vast, file("letter.jpg", b"Dear Sir"))
    visit.settle()
    state = visit.card("vast.png").locator(".state")
    expect(state).to_contain_text("200×100 is 20,000 pixels; the limit is 10,000. Make the image smaller.")
    expect(visit.card("letter.jpg").locator(".state")).to_contain_text("This is not a known image format.")
    for name in ("vast.png", "letter.jpg"):
        expect(visit.card(name).get_by_role("button", name="Try again")).to_be_hidden()
    expect(visit.page.locator("#retry-failed")).to_be_hidden()


def test_html_in_labels_and_file_names_is_shown_as_text(visit: Visit, red: Path) -> None:
    visit.page.select_option("#model", "hostile")
    visit.give(file(HOSTILE + ".png", red.read_bytes()))
    labels = [label for label, _ in visit.labels(HOSTILE + ".png")]
    assert set(labels) == {HOSTILE, "</li><script>alert(1)</script>", "\u202eblue\x1b[2J"}
    assert visit.page.locator(".card img").count() == 1, "only the image itself"
    assert visit.page.locator("script").count() == 1
    assert visit.page.title() == "pictag"


def test_the_content_security_policy_is_enforced(visit: Visit) -> None:
    """This also shows that violations are reported, which other tests rely on."""
    for attempt in (
        "document.head.append(Object.assign(document.createElement('style'), {textContent: 'p {}'}))",
        "document.body.setAttribute('style', 'color: red')",
        "document.body.append(Object.assign(new Image(), {src: 'data:image/gif;base64,R0lGODlh'}))",
        "fetch('data:text/plain,x').catch(() => {}); 0",
        "try { document.body.innerHTML = '<p>' } catch {}",
    ):
        visit.page.evaluate(attempt)
    expect(visit.page.locator("h1")).to_be_visible()
    forbidden = ("style-src-elem", "style-src-attr", "img-src", "connect-src", "require-trusted-types-for")
    assert {error for error in visit.errors if error.startswith("policy ")} == {
        f"policy {name}" for name in forbidden
    }
    visit.errors.clear()
    visit.requests.clear()


def test_images_are_sent_two_at_a_time(visit: Visit, red: Path) -> None:
    visit.give(*(file(f"{number}.png", red.read_bytes()) for number in range(20)))
    visit.settle()
    assert len(visit.posts) == 20
    assert visit.most_in_flight == 2


def test_model_and_number_of_labels_can_be_changed(visit: Visit, address: str, red: Path) -> None:
    page = visit.page
    visit.give(red)
    assert len(visit.labels("red.png")) == 3
    page.fill("#top-k", "2")
    page.keyboard.press("Enter")
    expect(visit.card("red.png").locator(".labels li")).to_have_count(2)
    page.select_option("#model", "embedded")
    expect(visit.card("red.png").get_by_text("green")).to_have_count(0)
    visit.settle()
    asked = [f"models/{COLOURS}?top_k=3", f"models/{COLOURS}?top_k=2", "v1/keywords?model=embedded&top_k=2"]
    assert visit.posts == [f"{address}/{end}" for end in asked]
    expect(page.locator("#model-hint")).to_have_text("200 labels.")


@pytest.mark.parametrize("text", ["-1", "1.5", "1e2", "201", ""])
def test_an_invalid_number_of_labels_is_rejected(visit: Visit, red: Path, text: str) -> None:
    page, field, hint = visit.page, visit.page.locator("#top-k"), visit.page.locator("#top-k-hint")
    page.select_option("#model", "embedded")
    visit.give(red)
    visit.settle()
    expect(page.get_by_role("status")).to_contain_text("red.png: ")  # before the next status
    before = page.locator("#curl").text_content()
    field.fill("")
    field.press_sequentially(text)
    page.keyboard.press("Tab")
    expect(hint).to_have_text("A whole number from 1 to 200.")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("status")).to_have_text("A whole number from 1 to 200.")
    assert colour_of(hint) == colour_of(page.locator("#trouble"), "border-inline-start-color"), "as an error"
    assert page.locator("#curl").text_content() == before
    assert len(visit.posts) == 1
    page.select_option("#model", COLOURS)
    expect(field).to_have_value("3")
    expect(field).to_have_attribute("aria-invalid", "false")
    expect(hint).to_be_hidden()


def test_the_number_of_labels_is_limited_to_those_of_the_model(visit: Visit, address: str, red: Path) -> None:
    """The requested number comes back with a model that has enough labels."""
    page, field = visit.page, visit.page.locator("#top-k")
    page.select_option("#model", "embedded")
    field.fill("50")
    page.keyboard.press("Tab")
    page.select_option("#model", COLOURS)
    expect(field).to_have_value("3")
    expect(page.locator("#curl")).to_contain_text("top_k=3'")
    visit.give(red)
    visit.settle()
    page.select_option("#model", "embedded")
    expect(field).to_have_value("50")
    expect(visit.card("red.png").locator(".labels li")).to_have_count(50)
    asked = [f"models/{COLOURS}?top_k=3", "v1/keywords?model=embedded&top_k=50"]
    assert visit.posts == [f"{address}/{end}" for end in asked]


def test_a_long_list_of_labels_scrolls_within_its_card(visit: Visit, red: Path) -> None:
    page = visit.page
    page.select_option("#model", "embedded")
    visit.give(red)
    visit.settle()
    labels = page.get_by_role("list", name="Labels of red.png")
    expect(labels).not_to_have_attribute("tabindex", "0")
    page.fill("#top-k", "200")
    page.keyboard.press("Tab")
    expect(labels.locator("li")).to_have_count(200)
    box = visit.card("red.png").bounding_box()
    assert box is not None
    assert box["height"] < 900
    page.get_by_role("button", name="Remove red.png").focus()
    page.keyboard.press("Tab")
    expect(labels).to_be_focused()
    page.keyboard.press("End")
    expect(labels.locator("li").last).to_be_in_viewport()


@pytest.mark.parametrize("name", ["red.png", "it's $HOME `id`.png", "-", "two\nlines\x1b[31m\u202e\\.png"])
def test_the_curl_line_does_the_same(visit: Visit, blue: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(blue.read_bytes())
    visit.give(file(name, blue.read_bytes()))
    visit.settle()
    visit.page.click("#copy")
    expect(visit.page.locator("#copy")).to_have_text("Copied")
    line = visit.page.evaluate("navigator.clipboard.readText()")
    assert line.isprintable(), "it must not contain control characters"
    command = ["bash", "-c", line + " --silent"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=20, check=True)
    said = [f"{label['label']}\n{label['score']:.1%}\nAreas" for label in json.loads(done.stdout)]
    assert visit.page.locator(".labels li").all_inner_texts() == said


def test_the_curl_line_names_the_last_image_that_worked(visit: Visit, red: Path, blue: Path) -> None:
    def shows(name: str) -> None:
        expect(visit.page.locator("#curl")).to_contain_text(f"--data-binary '@{name}' ")

    visit.give(file("letter.png", b"Dear Sir"))
    visit.settle()
    shows("image.jpg")
    visit.give(red, blue, file("empty.png", b""), file("letter.png", b"Dear Sir"))
    visit.settle()
    shows("blue.png")
    visit.page.get_by_role("button", name="Remove blue.png").click()
    shows("red.png")
    visit.page.route("**/models/**", lambda route: None)  # no response: the previous result still counts
    visit.page.select_option("#model", "embedded")
    shows("red.png")


def test_the_curl_line_fails_with_the_servers_error(visit: Visit, red: Path, tmp_path: Path) -> None:
    visit.give(red)
    visit.settle()
    (tmp_path / "red.png").write_text("Dear Sir,\n")
    done = run_stream(visit, tmp_path)
    assert done.returncode == 22
    assert "this is not a known image format" in json.loads(done.stdout)["error"]


def run_stream(visit: Visit, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    line = visit.page.locator("#curl").text_content()
    command = ["bash", "-c", f"{line} --silent"]
    known = {name: value for name, value in os.environ.items() if name != "PICTAG_API_KEY"}
    return subprocess.run(
        command, cwd=folder, env=known | variables, capture_output=True, text=True, timeout=20, check=False
    )


def test_a_request_is_repeated_after_the_time_a_busy_server_names(visit: Visit, blue: Path) -> None:
    tries = iter(["busy", "busy", "free"])

    def answer(route: Route) -> None:
        if next(tries) == "busy":
            refuse(route)
        else:
            route.continue_()

    visit.page.route("**/models/**", answer)
    visit.page.evaluate(
        """() => {
            window.said = [];
            const note = () => said.push(document.querySelector(".state")?.textContent);
            new MutationObserver(note).observe(document.body, { childList: true, subtree: true });
        }"""
    )
    visit.give(blue)
    assert visit.labels("blue.png")[0][0] == "blue"
    assert "The server is busy. Trying again in 1 s." in visit.page.evaluate("said")
    assert next(tries, None) is None


def test_a_request_to_a_busy_server_is_repeated_five_times_at_most(visit: Visit, blue: Path) -> None:
    visit.page.route("**/models/**", refuse)
    visit.give(blue)
    expect(visit.card("blue.png")).to_have_attribute("data-state", "failed")
    expect(visit.card("blue.png").locator(".state")).to_have_text("Too many requests wait.")
    assert len(visit.posts) == 6
    visit.page.unroute("**/models/**")
    visit.page.get_by_role("button", name="Try again").click()
    assert visit.labels("blue.png")[0][0] == "blue"


def test_all_images_with_temporary_failures_can_be_retried_at_once(
    visit: Visit, red: Path, blue: Path
) -> None:
    visit.page.route("**/models/**", lambda route: route.abort())
    again = visit.page.get_by_role("button", name="Try the failed ones again")
    visit.give(red, blue, file("empty.png", b""))
    expect(visit.page.locator("#progress")).to_have_text("3 of 3 done, 3 failed")
    expect(visit.card("empty.png").locator(".state")).to_have_text("The file is empty.")
    expect(visit.card("empty.png").get_by_role("button", name="Try again")).to_be_hidden()
    visit.page.unroute("**/models/**")
    again.click()
    assert visit.labels("red.png")[0][0] == "red"
    assert visit.labels("blue.png")[0][0] == "blue"
    expect(visit.page.locator("#progress")).to_have_text("3 of 3 done, 1 failed")
    expect(again).to_be_hidden()


def test_failed_images_can_be_retried_when_the_server_is_back(visit: Visit, red: Path, blue: Path) -> None:
    """With either button, and the error message disappears."""
    page, trouble = visit.page, visit.page.get_by_role("alert")
    for button in ("#trouble-retry", "#retry-failed"):
        expect(page.locator("#model")).to_be_enabled()
        page.route("**/models**", lambda route: route.abort())
        visit.give(red, blue)
        expect(trouble).to_contain_text("The server could not be reached.")
        page.unroute("**/models**")
        page.locator(button).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Results")).to_be_focused()
        visit.settle()
        expect(page.locator(".card[data-state=done]")).to_have_count(2)
        expect(trouble).to_be_hidden()
        page.click("#clear")


def test_the_focus_stays_on_an_image_that_is_retried(visit: Visit, red: Path) -> None:
    visit.page.route("**/models/**", lambda route: route.abort())
    visit.give(red)
    visit.card("red.png").get_by_role("button", name="Try again").focus()
    visit.page.unroute("**/models/**")
    visit.page.keyboard.press("Enter")
    assert visit.labels("red.png")[0][0] == "red"
    expect(visit.page.get_by_role("heading", name="red.png")).to_be_focused()


def test_the_first_name_of_a_label_is_more_prominent_than_its_synonyms(visit: Visit, red: Path) -> None:
    """Nothing of the label is cut off, and its text stays the same."""
    visit.page.select_option("#model", "wordy")
    visit.give(red)
    assert {label for label, _ in visit.labels("red.png")} == set(WORDY)
    labels = visit.card("red.png").locator(".labels li")
    first = labels.filter(has_text="red, ")
    name, synonyms = first.locator(".name"), first.locator(".synonyms")
    expect(name).to_have_text("red")
    assert synonyms.text_content() == ("red, " * 50).removeprefix("red, ")
    expect(labels.filter(has_text="blue").locator(".synonyms")).to_have_count(0)
    assert colour_of(name) == colour_of(visit.page.locator("body"))
    assert colour_of(synonyms) != colour_of(name)
    assert int(colour_of(name, "font-weight")) > int(colour_of(synonyms, "font-weight"))
    assert float(colour_of(name, "font-size")[:-2]) > float(colour_of(synonyms, "font-size")[:-2])
    for label in labels.locator(".label").all():
        assert label.evaluate(
            """label => {
                const range = document.createRange();
                range.selectNodeContents(label);
                const text = range.getBoundingClientRect();
                const card = label.closest(".card").getBoundingClientRect();
                return text.left >= card.left && text.right <= card.right && text.bottom <= card.bottom;
            }"""
        )


def test_an_error_card_is_not_as_high_as_its_neighbours(visit: Visit, red: Path, blue: Path) -> None:
    visit.page.set_viewport_size({"width": 1280, "height": 800})
    visit.page.select_option("#model", "embedded")
    visit.give(red, file("letter.png", b"Dear Sir"), blue)
    visit.settle()
    boxes = [visit.card(name).bounding_box() for name in ("red.png", "letter.png", "blue.png")]
    tops, heights = zip(*((box["y"], box["height"]) for box in boxes if box), strict=True)
    assert len(set(tops)) == 1, "all in one row"
    assert heights[1] < 0.7 * min(heights[0], heights[2])


def read_download(visit: Visit, button: str) -> tuple[str, bytes]:
    with visit.page.expect_download() as started:
        visit.page.get_by_role("button", name=button).click()
    return started.value.suggested_filename, started.value.path().read_bytes()


@pytest.fixture
def awkward(visit: Visit, folder: Path, red: Path, blue: Path) -> list[list[str]]:
    """Images are on the page whose names and labels need quotes; the expected lines of a table of them."""
    visit.page.select_option("#model", "awkward")
    names = ['+1, "2".png', "-.png", "@letter\n.png", "plain.png"]
    contents = [red.read_bytes(), blue.read_bytes(), b"Dear Sir", b""]
    visit.give(*(file(name, content) for name, content in zip(names, contents, strict=True)))
    visit.settle()
    lines: list[list[str]] = []
    with pipeline("image-classification", model=folder / "awkward") as classifier:
        for name, image in zip(names, (red, blue), strict=False):
            (expected,) = classifier.predict(image, top_k=3)
            lines += [
                [name, str(rank), found.label, f"{found.score:.4f}", "", ""]
                for rank, found in enumerate(expected.labels, start=1)
            ]
    state = visit.card("@letter\n.png").locator(".state")
    letter = str(state.evaluate("state => state.firstChild.textContent"))
    return [
        *lines,
        [names[2], "", "", "", "NotAnImage", letter],
        [names[3], "", "", "", "NotAnImage", "The file is empty."],
    ]


def read_table(text: str, delimiter: str) -> list[list[str]]:
    """The lines, without the quotes in front of text that would be a formula; scores with four digits."""
    header, *lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    assert header == ["source", "rank", "label", "score", "error_kind", "error_message"]
    for line in lines:
        assert all(field[:1] not in tuple("=+-@\t\r") for field in line if field), "no field is a formula"
        for index in (0, 2):
            if line[index][:2] in ("'=", "'+", "'-", "'@"):
                line[index] = line[index][1:]
        if line[3]:
            line[3] = f"{float(line[3]):.4f}"
    return lines


def test_the_results_can_be_downloaded_as_csv(visit: Visit, awkward: list[list[str]]) -> None:
    """Commas, quotes and line breaks are quoted, and no label or name is a formula for a spreadsheet."""
    name, content = read_download(visit, "Download CSV")
    assert name == "pictag-awkward.csv"
    assert content.startswith(b"\xef\xbb\xbfsource,"), "spreadsheets read other files with a local encoding"
    assert read_table(content.decode("utf-8-sig"), ",") == awkward


@pytest.mark.parametrize("is_secure", [True, False])
def test_the_results_can_be_copied_into_a_spreadsheet(
    visit: Visit, awkward: list[list[str]], is_secure: bool
) -> None:
    """Also without the Clipboard API, which browsers only offer on https and localhost."""
    if not is_secure:
        visit.page.evaluate("Object.defineProperty(navigator, 'clipboard', {configurable: true})")
    visit.page.get_by_role("button", name="Copy results").click()
    expect(visit.page.locator("#copy-results")).to_have_text("Copied")
    expect(visit.page.get_by_role("status")).to_have_text("Copied.")
    if not is_secure:
        visit.page.evaluate("delete navigator.clipboard")
    assert read_table(visit.page.evaluate("navigator.clipboard.readText()"), "\t") == awkward


def test_the_results_can_be_downloaded_as_json(visit: Visit, awkward: list[list[str]]) -> None:
    """With the fields of ``pictag classify --format jsonl``, but without the index, which the page lacks."""
    name, content = read_download(visit, "Download JSON")
    assert name == "pictag-awkward.json"
    rows = json.loads(content)
    assert [set(row) for row in rows] == [{"source", "labels"}] * 2 + [{"source", "error"}] * 2
    lines: list[list[str]] = []
    for row in rows:
        lines += [
            [row["source"], str(rank), found["label"], f"{found['score']:.4f}", "", ""]
            for rank, found in enumerate(row.get("labels", []), start=1)
        ]
        if "error" in row:
            lines.append([row["source"], "", "", "", row["error"]["kind"], row["error"]["message"]])
    assert lines == awkward


def test_images_of_a_folder_have_their_path_in_the_results(visit: Visit, tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png"):
        make_image(tmp_path / "album" / name, "red")
    visit.drop(tmp_path / "album")
    expect(visit.page.locator(".card[data-state=done]")).to_have_count(2)
    rows = json.loads(read_download(visit, "Download JSON")[1])
    assert [row["source"] for row in rows] == ["album/a/1.png", "album/b/1.png"]
    assert visit.page.locator("h3").all_text_contents() == ["1.png", "1.png"]


def test_results_can_be_saved_when_all_images_are_done(visit: Visit, red: Path) -> None:
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    visit.page.route("**/models/**", hold)
    visit.give(red)
    buttons = [
        visit.page.get_by_role("button", name=name)
        for name in ("Copy results", "Download CSV", "Download JSON")
    ]
    for button in buttons:
        expect(button).to_be_disabled()
    expect(visit.card("red.png")).to_have_attribute("data-state", "running")
    waiting[0].continue_()
    for button in buttons:
        expect(button).to_be_enabled()


def test_the_page_shows_its_version_and_links_the_api_description(
    browser: Browser, locked_address: str
) -> None:
    """The link opens another tab, so that the results stay, and works without the key."""
    with visit_page(browser, locked_address) as visit:
        footer = visit.page.get_by_role("contentinfo")
        expect(footer).to_contain_text(f"pictag {__version__}")
        with visit.page.expect_popup() as opened:
            footer.get_by_role("link", name="API description").click()
        assert opened.value.url == f"{locked_address}/openapi.json"
        assert json.loads(opened.value.locator("body").inner_text())["info"]["version"] == __version__


@pytest.mark.parametrize(("width", "names"), [(360, NAMES), (1280, NAMES), (360, NAMES[2:])])
def test_long_names_do_not_push_scores_and_buttons_off_the_card(
    browser: Browser, address: str, red: Path, width: int, names: list[str]
) -> None:
    with visit_page(browser, address, viewport={"width": width, "height": 800}) as visit:
        visit.page.select_option("#model", "wordy")
        visit.give(*(file(name, red.read_bytes()) for name in names))
        visit.settle()
        for name in names:
            card = visit.card(name)
            card.scroll_into_view_if_needed()
            outer = card.bounding_box()
            assert outer is not None
            assert outer["x"] >= 0
            assert outer["x"] + outer["width"] <= width
            for inside in [
                card.locator(".remove"),
                *card.locator(".score").all(),
                *card.locator(".bar").all(),
            ]:
                box = inside.bounding_box()
                assert box is not None
                assert outer["x"] <= box["x"]
                assert box["x"] + box["width"] <= outer["x"] + outer["width"]
                assert outer["y"] <= box["y"]
                assert box["y"] + box["height"] <= outer["y"] + outer["height"]


@pytest.mark.parametrize("width", [360, 1280])
def test_an_ordinary_long_name_is_shown_completely(
    browser: Browser, address: str, red: Path, width: int
) -> None:
    with visit_page(browser, address, viewport={"width": width, "height": 800}) as visit:
        visit.give(*(file(name, red.read_bytes()) for name in NAMES))
        visit.settle()
        cut = "span => span.scrollWidth > span.clientWidth || span.scrollHeight > span.clientHeight"
        shown = [not visit.card(name).locator("h3 span").evaluate(cut) for name in NAMES]
        assert shown == [True, True, False]


def test_the_result_is_visible_on_a_phone_without_scrolling(
    browser: Browser, address: str, red: Path
) -> None:
    """The visual order is the same as the order for keyboards and screen readers."""
    with visit_page(browser, address, viewport={"width": 360, "height": 740}) as visit:
        visit.give(red)
        visit.settle()
        expect(visit.page.locator(".labels li .score").first).to_be_in_viewport()
        tops = [
            visit.page.locator(part).bounding_box()["y"]  # type: ignore[index]
            for part in ("#drop", ".controls", "#results", ".terminal")
        ]
        assert tops == sorted(tops)


def refuse(route: Route) -> None:
    body = {"error": "Too many requests wait.", "code": 429, "type": "overloaded"}
    route.fulfill(status=429, headers={"Retry-After": "0.2"}, json=body)


def test_the_page_asks_for_the_key_if_the_server_requires_one(
    browser: Browser, locked_address: str, red: Path, tmp_path: Path
) -> None:
    with visit_page(browser, locked_address) as visit:
        page = visit.page
        field = page.get_by_label("This server asks for an API key")
        expect(field).to_be_focused()
        visit.give(red)
        field.fill(KEY)
        page.keyboard.press("Enter")
        assert visit.labels("red.png")[0][0] == "red"
        expect(field).to_be_hidden()
        expect(page.get_by_role("button", name="Choose images")).to_be_focused()
        kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])")
        assert kept == '[{},{},""]', "the key must only be in memory"
        assert KEY not in page.content()
        expect(page.locator("#curl")).to_contain_text('-H "Authorization: Bearer $PICTAG_API_KEY"')
        expect(page.locator("#curl-hint")).to_contain_text("Set PICTAG_API_KEY to the key first")
        (tmp_path / "red.png").write_bytes(red.read_bytes())
        assert run_stream(visit, tmp_path).returncode == 22
        assert json.loads(run_stream(visit, tmp_path, PICTAG_API_KEY=KEY).stdout)[0]["label"] == "red"


def test_an_accepted_key_is_announced_and_moves_the_focus(browser: Browser, locked_address: str) -> None:
    with visit_page(browser, locked_address) as visit:
        visit.page.get_by_label("This server asks for an API key").fill(KEY)
        visit.page.keyboard.press("Enter")
        expect(visit.page.get_by_role("button", name="Choose images")).to_be_focused()
        expect(visit.page.get_by_role("status")).to_have_text("The key was accepted.")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("wrong", "The server rejected this key."),
        ("clé", "A key may only contain ASCII characters."),
    ],
)
def test_a_rejected_key_is_an_error_until_another_one_is_entered(
    browser: Browser, locked_address: str, given: str, why: str
) -> None:
    with visit_page(browser, locked_address) as visit:
        page, hint = visit.page, visit.page.locator("#key-hint")
        field = page.get_by_label("This server asks for an API key")
        alarm = colour_of(page.locator("#trouble"), "border-inline-start-color")
        expect(field).to_be_focused()
        assert colour_of(hint) != alarm
        field.fill(given)
        page.get_by_role("button", name="Use this key").click()
        expect(hint).to_have_text(why)
        expect(field).to_have_attribute("aria-invalid", "true")
        expect(field).to_be_focused()
        assert colour_of(hint) == alarm
        page.route("**/models", lambda route: None)  # no response yet
        field.fill("another")
        page.keyboard.press("Enter")
        expect(hint).to_have_text("It is forgotten when you close this page.")
        assert colour_of(hint) != alarm


def colour_of(part: Locator, what: str = "color") -> str:
    return str(part.evaluate("(part, what) => getComputedStyle(part).getPropertyValue(what)", what))


def test_the_page_fits_small_screens_and_respects_reduced_motion(
    browser: Browser, address: str, folder: Path
) -> None:
    wide = make_image(folder / ("long-" * 30 + ".png"), "red", size=(400, 20))
    small = {"viewport": {"width": 320, "height": 640}, "reduced_motion": "reduce"}
    with visit_page(browser, address, **small) as visit:
        visit.give(wide, wide, file("letter.png", b"Dear Sir"))
        visit.paste_text("https://example.org/" + "long-" * 30)
        visit.settle()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == 320
        for button in visit.page.locator(".actions button:visible").all():
            box = button.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
        bar = visit.page.locator(".bar > span").first
        assert bar.evaluate("bar => getComputedStyle(bar).transitionDuration") == "0s"
