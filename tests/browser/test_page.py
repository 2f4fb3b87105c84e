"""The gallery's page in a real Chromium."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from browser.conftest import HOSTILE, MakePage, dogs
from browsing import launch_browser, visit_page
from galleryserver import TOKEN, GalleryPage, run_gallery
from libraries import Entry, synthesize
from pictag import pipeline
from pictag.gallery import Gallery
from pictag.gallery.decisions import export_decisions
from pictag.metadata import read_keywords

SMALL: dict[str, Any] = {"width": 90, "height": 60}
ANIMALS = [
    Entry(
        path="rex.jpg", scores={"dog": 0.9, "animal": 0.95}, keywords=("Rex",), taken="2024-05-01T10:00:00",
        **SMALL,
    ),
    Entry(path="tom.jpg", scores={"cat": 0.8, "animal": 0.85}, taken="2023-05-01T10:00:00", **SMALL),
    Entry(path="both.png", scores={"dog": 0.6, "cat": 0.5, "animal": 0.7}, type="png", width=60, height=90),
    Entry(path="boat.jpg", scores={"boat": 0.9}, **SMALL),
]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_browser() as browser:
        yield browser


@contextmanager
def visit(browser: Browser, page: GalleryPage, query: str = "", **options: Any) -> Iterator[Page]:
    """Open the page in a browser that has the cookie already; checks that nothing is loaded from outside."""
    cookie = {"name": f"pictag-{page.port}", "value": TOKEN, "url": page.address, "sameSite": "Strict"}
    options.setdefault("viewport", {"width": 1200, "height": 800})
    with visit_page(
        browser, page.address, storage_state={"cookies": [as_state(cookie)], "origins": []}, **options
    ) as seen:
        if query:
            seen.page.goto(page.address + query)
        expect(seen.page.locator("#total")).not_to_have_text("Photos")
        yield seen.page


def as_state(cookie: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": cookie["name"], "value": cookie["value"], "domain": "127.0.0.1", "path": "/", "expires": -1,
        "httpOnly": True, "secure": False, "sameSite": "Strict",
    }  # fmt: skip


def names(page: Page) -> list[str]:
    """The photos of the grid, in order."""
    labels = page.locator(".tile").evaluate_all(
        "tiles => tiles.sort((a, b) => a.dataset.index - b.dataset.index).map((tile) => tile.ariaLabel)"
    )
    return [label.split(",")[0] for label in labels]


def facet(page: Page, value: str) -> Locator:
    return page.locator(f'#facets button[data-value="{value}"]')


def total(page: Page) -> Locator:
    return page.locator("#total")


def verdicts(path: Path) -> list[str]:
    """All decisions of a library as they are exported."""
    with Gallery.open(path) as gallery:
        return list(export_decisions(gallery.connection))


def check(page: Page, view: str) -> None:
    """Assert that axe finds no accessibility problem."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    page.evaluate(axe + ";0")
    found = page.evaluate("axe.run()")
    problems = {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found["violations"]}
    assert problems == {}, view


def tile(page: Page, name: str) -> Locator:
    return page.get_by_role("option", name=re.compile(rf"^{re.escape(name)}\b"))


def test_the_address_with_the_token_opens_the_page_and_the_token_disappears(
    browser: Browser, make_page: MakePage
) -> None:
    with make_page(*ANIMALS) as page, visit_page(browser, page.entrance) as seen:
        seen.requests = []  # visit_page would take those without the token for other addresses
        expect(total(seen.page)).to_have_text("4 photos")
        assert "token" not in seen.page.url
        seen.page.reload()
        expect(total(seen.page)).to_have_text("4 photos")
        assert {url.removeprefix(page.address)[:1] for _, url in seen.requests} == {"/"}
        seen.requests = []


def test_a_search_shows_what_it_finds_and_why(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        seen.locator("#search").fill("dog")
        expect(total(seen)).to_have_text("2 photos")
        assert names(seen) == ["rex.jpg", "both.png"]
        tile(seen, "rex.jpg").click()
        dialog = seen.get_by_role("dialog", name="rex.jpg")
        expect(dialog).to_contain_text("dog is a label, 90%")
        expect(dialog.locator(".words")).to_have_text("Rex")
        expect(dialog).to_contain_text("Scores by synthetic")
        expect(dialog.locator(".labels .word")).to_have_text(["animal", "dog"])
        seen.keyboard.press("ArrowRight")
        expect(seen.get_by_role("dialog", name="both.png")).to_be_visible()
        seen.keyboard.press("Escape")
        expect(dialog).not_to_be_visible()
        expect(tile(seen, "both.png")).to_be_focused()


def test_an_open_photo_and_a_question_are_in_the_address(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        facet(seen, "dog").click()
        expect(total(seen)).to_have_text("2 photos")
        tile(seen, "both.png").click()
        expect(seen.get_by_role("dialog", name="both.png")).to_be_visible()
        seen.reload()
        expect(seen.get_by_role("dialog", name="both.png")).to_be_visible()
        seen.go_back()
        expect(seen.get_by_role("dialog")).not_to_be_visible()
        expect(facet(seen, "dog")).to_have_attribute("data-state", "included")
        seen.go_back()
        expect(total(seen)).to_have_text("4 photos")


def test_an_error_in_a_query_is_marked_at_its_place(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        seen.locator("#search").fill("dog lable:cat")
        expect(seen.locator("#search-error")).to_contain_text("Did you mean 'label'?")
        expect(seen.locator("#mirror mark")).to_have_text("lable:")
        expect(seen.locator("#search")).to_have_attribute("aria-invalid", "true")
        assert len(names(seen)) == 4, "the photos stay"
        seen.locator("#search").fill("dog label:cat")
        expect(total(seen)).to_have_text("1 photo")
        expect(seen.locator("#search-error")).to_be_hidden()


def test_the_search_box_completes_labels_and_keys(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        seen.locator("#search").press_sequentially("-do")
        options = seen.locator("#suggestions li")
        expect(options.first).to_have_text("dog2")
        seen.keyboard.press("ArrowDown")
        seen.keyboard.press("Enter")
        expect(seen.locator("#search")).to_have_value("-dog ")
        expect(total(seen)).to_have_text("2 photos")
        seen.locator("#search").press_sequentially("ty")
        expect(options.first).to_have_text("type:")
        seen.keyboard.press("ArrowDown")
        seen.keyboard.press("Tab")
        expect(options).to_have_text(["jpeg", "png"])


def test_values_of_a_facet_add_up_and_a_second_click_excludes(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        expect(facet(seen, "dog").locator(".number")).to_have_text("2")
        facet(seen, "dog").click()
        expect(total(seen)).to_have_text("2 photos")
        expect(facet(seen, "png").locator(".number")).to_have_text("1")
        facet(seen, "cat").click()
        expect(total(seen)).to_have_text("3 photos")
        facet(seen, "png").click()
        expect(total(seen)).to_have_text("1 photo")
        facet(seen, "png").click()
        expect(total(seen)).to_have_text("2 photos")
        facet(seen, "cat").click()
        expect(total(seen)).to_have_text("1 photo")
        assert names(seen) == ["rex.jpg"]
        facet(seen, "cat").click()
        facet(seen, "dog").click()
        facet(seen, "dog").click()
        expect(facet(seen, "dog")).to_have_attribute("data-state", "off")
        expect(total(seen)).to_have_text("3 photos")


def test_the_slider_sets_the_lowest_score(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page, "?label=dog") as seen:
        expect(total(seen)).to_have_text("2 photos")
        seen.locator("#score").fill("75")
        expect(total(seen)).to_have_text("1 photo")
        expect(seen.locator("#chips")).to_contain_text("score ≥ 75%")


@pytest.mark.slow
def test_a_hundred_photos_are_reviewed_and_undone_with_the_keyboard(
    browser: Browser, make_page: MakePage, tmp_path: Path
) -> None:
    library = tmp_path / "gallery.db"
    entries = dogs(110)
    entries[5] = dataclasses.replace(entries[5], decisions={"dog": "rejected"})
    with make_page(*entries) as page, visit(browser, page, "?label=dog") as seen:
        before = verdicts(library)
        expect(total(seen)).to_have_text("109 photos")
        seen.locator(".tile").first.focus()
        for number in range(100):
            seen.keyboard.press("n" if number % 10 == 3 else "y")
        expect(seen.locator('.tile[data-index="99"]')).to_have_attribute("data-verdict", "confirmed")
        after = verdicts(library)
        assert sum('"confirmed"' in line for line in after) == 90
        assert sum('"rejected"' in line for line in after) == 11
        seen.reload()
        expect(total(seen)).to_have_text("99 photos")
        expect(facet(seen, "confirmed").locator(".number")).to_have_text("90")
        with seen.context.expect_page() as opening:
            seen.evaluate("open(location.href)")
        second = opening.value
        expect(total(second)).to_have_text("99 photos")
        expect(second.locator('.tile[data-index="0"]')).to_have_attribute("data-verdict", "confirmed")
        second.locator(".tile").first.focus()
        for _ in range(100):
            second.keyboard.press("u")
        expect(second.locator("#toast")).to_contain_text("Undone: Confirmed dog: 1 photo")
        expect(second.locator('.tile[data-verdict="confirmed"]')).to_have_count(0)
        seen.wait_for_timeout(100)
        assert verdicts(library) == before
        second.keyboard.press("u")
        expect(second.locator("#toast")).to_contain_text("Nothing to undo")
        expect(seen.locator('.tile[data-verdict="confirmed"]')).to_have_count(0)  # the other tab was told


def test_selected_photos_are_decided_about_together(
    browser: Browser, make_page: MakePage, tmp_path: Path
) -> None:
    with make_page(*dogs(12)) as page, visit(browser, page, "?label=dog") as seen:
        seen.locator(".tile").first.focus()
        seen.keyboard.press("Space")
        seen.keyboard.press("Shift+ArrowDown")
        columns = seen.locator(".tile.selected").count() - 1
        expect(seen.locator("#selected")).to_have_text(f"{columns + 1} photos selected")
        seen.get_by_role("button", name="Reject dog").click()
        expect(seen.locator("#toast")).to_contain_text(f"Rejected dog: {columns + 1} photos")
        expect(seen.locator('.tile[data-verdict="rejected"]')).to_have_count(columns + 1)
        seen.locator("#toast").get_by_role("button", name="Undo").click()
        expect(seen.locator('.tile[data-verdict="rejected"]')).to_have_count(0)
        assert verdicts(tmp_path / "gallery.db") == []
        seen.keyboard.press("Control+a")
        expect(seen.locator("#selected")).to_have_text("12 photos selected")


def test_everything_can_be_reached_with_the_keyboard_alone(browser: Browser, make_page: MakePage) -> None:
    def tab_to(selector: str) -> None:
        for _ in range(60):
            if seen.locator(f"{selector}:focus").count():
                return
            seen.keyboard.press("Tab")
        raise AssertionError(selector)

    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        expect(facet(seen, "png")).to_be_visible()
        tab_to('#facets button[data-value="png"]')
        seen.keyboard.press("Enter")
        expect(total(seen)).to_have_text("1 photo")
        expect(facet(seen, "png")).to_be_focused()
        seen.keyboard.press("Enter")
        expect(total(seen)).to_have_text("3 photos")
        tab_to("#score")
        seen.keyboard.press("ArrowRight")
        expect(seen.locator("#score-value")).to_have_text("at least 5%")
        tab_to("#sort")
        tab_to(".tile")
        seen.keyboard.press("ArrowRight")
        seen.keyboard.press("Enter")
        dialog = seen.locator("#photo")
        expect(dialog.locator(".labels")).to_be_visible()
        tab_to("#photo .labels button.confirmed")
        seen.keyboard.press("Space")
        expect(dialog.locator(".labels [aria-pressed=true]")).to_be_focused()
        for place in ("#photo-close", "#photo-panel", "#photo .primary"):
            tab_to(place)
        seen.keyboard.press("Enter")
        expect(seen.locator("#chips")).to_contain_text("like")


def test_hidden_photos_are_gone_until_they_are_asked_for(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        tile(seen, "rex.jpg").focus()
        seen.keyboard.press("x")
        expect(seen.locator("#toast")).to_contain_text("Hidden: 1 photo")
        seen.reload()
        expect(total(seen)).to_have_text("3 photos")
        seen.get_by_label("Hidden photos").check()
        expect(total(seen)).to_have_text("4 photos")
        expect(tile(seen, "rex.jpg")).to_have_accessible_name(re.compile("hidden"))


def test_the_areas_that_changed_a_labels_score_are_shown_over_the_photo(
    browser: Browser, shared: Path, tmp_path: Path
) -> None:
    (tmp_path / "p").mkdir()
    shutil.copy(shared / "images" / "gallery" / "coral_cat_1080p.jpg", tmp_path / "p" / "cat.jpg")
    with (
        Gallery.open(tmp_path / "gallery.db", create=True) as gallery,
        pipeline(model="embedded", embeddings=True) as classifier,
    ):
        gallery.index([tmp_path / "p"], classifier)
    with run_gallery(tmp_path / "gallery.db") as page, visit(browser, page) as seen:
        tile(seen, "cat.jpg").click()
        labels, heat, note = seen.locator(".labels"), seen.locator(".heat"), seen.locator("#areas-note")
        tabby = seen.get_by_role("button", name="Areas for tabby")
        expect(labels.locator("li.concept").first).to_be_visible()
        expect(labels.locator("li.concept .areas")).to_have_count(0)
        tabby.click()
        expect(heat).to_be_visible()
        expect(note).to_contain_text("Areas that changed this model's score for tabby")
        assert heat.bounding_box() == seen.locator("#photo-image").bounding_box()
        schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for scheme in schemes:
            seen.emulate_media(color_scheme=scheme)
            check(seen, f"areas, {scheme}")
        seen.keyboard.press("y")  # draws the labels again
        expect(labels.locator("[data-verdict=confirmed]")).to_have_count(1)
        expect(tabby).to_have_attribute("aria-pressed", "true")
        tabby.click()
        expect(heat).to_have_count(0)
        expect(note).to_be_empty()
        with page.library.explainer._lock:  # as if another tab's explanation were being computed
            tabby.click()
            expect(note).to_have_text("Looking for the areas…")
            seen.wait_for_timeout(300)
        expect(heat).to_be_visible()
        seen.keyboard.press("Escape")
        tile(seen, "cat.jpg").click()
        expect(tabby).to_have_attribute("aria-pressed", "false")
        with page.library.writing() as connection:
            options = json.dumps({"model": "/nowhere"})
            connection.execute("UPDATE models SET identity = 'another', options = ?", (options,))
            connection.commit()
        tabby.click()
        expect(note).to_contain_text("/nowhere")
        expect(tabby).to_have_attribute("aria-pressed", "false")
        expect(seen.locator("#photo-image")).to_be_visible()


def test_keywords_are_added_renamed_and_written_as_xmp(
    browser: Browser, make_page: MakePage, tmp_path: Path
) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        tile(seen, "rex.jpg").focus()
        seen.keyboard.press("k")
        seen.keyboard.type("Holliday")
        seen.keyboard.press("Enter")
        expect(seen.locator("#toast")).to_contain_text("Added Holliday: 1 photo")
        seen.keyboard.press("Enter")
        dialog = seen.get_by_role("dialog", name="rex.jpg")
        dialog.get_by_role("button", name="Rename Holliday").click()
        seen.keyboard.type("Holiday")
        seen.keyboard.press("Enter")
        expect(dialog.locator(".words li")).to_contain_text(["Rex", "Holiday"])
        dialog.get_by_role("button", name="Confirm dog").click()
        expect(dialog.get_by_role("button", name="Confirm dog")).to_have_attribute("aria-pressed", "true")
        dialog.get_by_role("button", name="Write as XMP").click()
        expect(seen.locator("#toast")).to_contain_text("Wrote 1 sidecar")
        written = read_keywords(tmp_path / "photos" / "rex.jpg")
        assert written.ours == ("Holiday", "dog")
        assert any(entry.endswith("|dog") for entry in written.our_hierarchical)
        seen.keyboard.press("k")
        seen.keyboard.type("a, b")
        seen.keyboard.press("Enter")
        expect(seen.locator("#toast")).to_contain_text("can't be used")


def test_duplicates_are_compared_and_dismissed(browser: Browser, make_page: MakePage) -> None:
    pixels = b"p" * 32
    copies = [
        Entry(path=f"{name}.jpg", pixels=pixels, size=size, width=90, height=60)
        for name, size in (("large", 9000), ("small", 500))
    ]
    with make_page(*copies, *ANIMALS) as page, visit(browser, page) as seen:
        seen.get_by_role("link", name="Duplicates").click()
        expect(seen.locator("#duplicates-title")).to_have_text("1 group of duplicates")
        group = seen.get_by_role("article")
        expect(group.locator("li strong")).to_have_count(2)
        expect(group.locator("li").first).to_contain_text("Keep")
        group.get_by_role("button", name="Not duplicates").click()
        expect(seen.locator("#duplicates-title")).to_have_text("No duplicates")
        seen.keyboard.press("u")
        expect(seen.locator("#duplicates-title")).to_have_text("1 group of duplicates")
        seen.reload()
        expect(seen.locator("#duplicates-title")).to_have_text("1 group of duplicates")


def test_photos_with_chosen_labels_are_blurred_in_the_grid(browser: Browser, make_page: MakePage) -> None:
    with make_page(*ANIMALS) as page, visit(browser, page) as seen:
        seen.get_by_text("Blur photos with").click()
        seen.get_by_label("Label to blur").fill("Dog")
        seen.keyboard.press("Enter")
        expect(seen.locator(".tile.blurred")).to_have_count(2)
        seen.reload()
        expect(seen.locator(".tile.blurred")).to_have_count(2)
        seen.get_by_role("button", name="Don't blur Dog").click()
        expect(seen.locator(".tile.blurred")).to_have_count(0)


def test_only_photos_near_the_window_are_drawn(browser: Browser, make_page: MakePage) -> None:
    entries = [Entry(path=f"{n:05}.jpg", scores={"dog": 0.5}, error="gone") for n in range(3000)]
    with make_page(*entries) as page, visit(browser, page, "?sort=name") as seen:
        expect(total(seen)).to_have_text("3,000 photos")
        height = seen.locator("#grid").evaluate("grid => grid.offsetHeight")
        for place in (0.5, 1, 0):
            seen.evaluate("place => scrollTo(0, place * document.documentElement.scrollHeight)", place)
            expect(seen.get_by_role("option", name="Loading")).to_have_count(0)
            assert seen.locator(".tile").count() < 120
        seen.locator(".tile").first.focus()
        seen.keyboard.press("End")
        expect(tile(seen, "02999.jpg")).to_be_focused()
        assert seen.locator("#grid").evaluate("grid => grid.offsetHeight") == height, (
            "the layout doesn't move"
        )


@pytest.mark.slow
def test_an_empty_library_says_what_to_do_and_shows_photos_when_they_come(
    browser: Browser, tmp_path: Path
) -> None:
    from libraries import make_library

    with run_gallery(tmp_path / "gallery.db") as page, visit(browser, page) as seen:
        expect(seen.locator("#empty")).to_contain_text("pictag index ~/Pictures --library")
        make_library(tmp_path / "gallery.db", [Entry(path="/photos/a.jpg", scores={"dog": 0.9})]).close()
        expect(total(seen)).to_have_text("1 photo")


def test_markup_in_names_and_keywords_is_shown_as_text(browser: Browser, make_page: MakePage) -> None:
    name = f"{HOSTILE.replace('/', '')}.jpg"
    entry = Entry(path=name, keywords=(HOSTILE,), scores={"cat": 0.9, HOSTILE: 0.95}, width=90, height=60)
    with make_page(entry) as page, visit(browser, page) as seen:
        expect(facet(seen, "cat")).to_be_visible()
        expect(seen.locator(".tile .word")).to_have_text(HOSTILE)
        seen.locator(".tile").click()
        expect(seen.locator("#photo-title")).to_have_text(name)
        expect(seen.locator(".words")).to_have_text(HOSTILE)
        assert seen.locator("main img[onerror], dialog img[onerror]").count() == 0
        assert seen.title() != "1"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_problems_in_any_view(
    browser: Browser, make_page: MakePage, scheme: Any
) -> None:
    copies = [Entry(path=f"{n}.jpg", pixels=b"p" * 32, width=90, height=60) for n in "ab"]
    entries = (*ANIMALS, *copies, Entry(path="bad.jpg", error="broken"))
    with make_page(*entries) as page, visit(browser, page, color_scheme=scheme) as seen:
        check(seen, "grid")
        facet(seen, "dog").click()
        facet(seen, "png").click()
        facet(seen, "png").click()
        expect(total(seen)).to_have_text("1 photo")
        seen.locator(".tile").first.focus()
        seen.keyboard.press("y")
        seen.keyboard.press("Space")
        seen.get_by_text("Blur photos with").click()
        expect(seen.locator("#toast.shown")).to_be_visible()
        check(seen, "filters and selection")
        seen.keyboard.press("?")
        check(seen, "help")
        seen.keyboard.press("Escape")
        seen.locator(".tile .word").first.click()
        expect(seen.get_by_role("dialog", name="rex.jpg").locator(".labels")).to_be_visible()
        check(seen, "photo")
        seen.keyboard.press("k")
        check(seen, "keyword")
        seen.keyboard.press("Escape")
        seen.keyboard.press("Escape")
        seen.locator("#search").fill("dog lable:x")
        expect(seen.locator("#search-error")).to_be_visible()
        check(seen, "error")
        seen.locator("#search").fill("do")
        expect(seen.locator("#suggestions li").first).to_be_visible()
        check(seen, "suggestions")
        seen.goto(page.address + "/?view=duplicates")
        expect(seen.get_by_role("article")).to_be_visible()
        check(seen, "duplicates")
        seen.goto(page.address + "/?text=nothing")
        expect(seen.locator("#empty")).to_be_visible()
        check(seen, "nothing found")


def test_the_page_fits_a_phone(browser: Browser, make_page: MakePage) -> None:
    size = {"width": 360, "height": 700}
    with (
        make_page(*dogs(9)) as page,
        visit(browser, page, viewport=size, has_touch=True, is_mobile=True) as seen,
    ):
        width = "document.documentElement.scrollWidth"
        assert seen.evaluate(width) <= 360
        seen.get_by_role("button", name="Filters").tap()
        expect(facet(seen, "dog")).to_be_visible()
        assert seen.evaluate(width) <= 360
        facet(seen, "dog").tap()
        seen.get_by_role("button", name="Show 9 photos").tap()
        seen.locator(".tile").nth(4).tap()
        expect(seen.get_by_role("dialog", name="dog-004.jpg")).to_be_visible()
        assert seen.evaluate(width) <= 360


def test_many_photos_have_no_layout_shift(browser: Browser, make_page: MakePage) -> None:
    entries = list(synthesize(300))
    with make_page(
        *(Entry(path=f"{n}.jpg", scores=e.scores, width=9, height=6) for n, e in enumerate(entries))
    ) as page:
        script = (
            "window.shift = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries()) "
            "if (!entry.hadRecentInput) window.shift += entry.value; })"
            ".observe({type: 'layout-shift', buffered: true})"
        )
        with visit(browser, page) as seen:
            seen.add_init_script(script)
            seen.reload()
            expect(facet(seen, "animal")).to_be_visible()
            seen.mouse.wheel(0, 3000)
            seen.wait_for_timeout(300)
            assert seen.evaluate("window.shift") < 0.1
