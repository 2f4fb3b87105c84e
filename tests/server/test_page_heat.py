"""The page's buttons that show which areas of an image changed a label's score."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, expect

from browsing import Visit, launch_browser, visit_page
from liveserver import run_server
from tinymodel import make_image, make_tiny_model


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launch_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[str]:
    model = make_tiny_model(tmp_path_factory.mktemp("model"), labels=("red", "green", "blue & <b>"))
    with run_server(models=[f"colours={model}"]) as server:
        yield f"http://127.0.0.1:{server.port}"


@pytest.fixture
def visit(browser: Browser, address: str, tmp_path: Path) -> Iterator[Visit]:
    with visit_page(browser, address) as visit:
        visit.give(make_image(tmp_path / "red.png", size=(120, 90)))
        visit.settle()
        yield visit


def button(visit: Visit, label: str) -> Locator:
    return visit.page.get_by_role("button", name=f"Areas for {label}", exact=True)


def test_a_button_shows_the_heatmap_of_its_label_and_hides_it_again(visit: Visit) -> None:
    card = visit.card("red.png")
    for label in ("red", "blue & <b>"):
        button(visit, label).click()
        expect(
            card.get_by_alt_text(f"Heatmap of the areas that changed the score of {label}")
        ).to_be_visible()
        expect(button(visit, label)).to_have_attribute("aria-pressed", "true")
        expect(card.get_by_role("status")).to_contain_text("Areas that changed this model's score")
        expect(card.locator("img.heat")).to_have_count(1)
        expect(card.locator("[aria-pressed=true]")).to_have_count(1)
    button(visit, "blue & <b>").click()
    expect(card.locator("img.heat")).to_have_count(0)
    expect(card.locator("[aria-pressed=true]")).to_have_count(0)
    expect(card.get_by_role("status")).to_be_hidden()


def test_the_heatmap_covers_the_image(visit: Visit) -> None:
    button(visit, "red").click()
    heat = visit.card("red.png").locator("img.heat")
    expect(heat).to_have_js_property("complete", True)
    natural = heat.evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert natural[0] / natural[1] == pytest.approx(4 / 3, abs=0.01)
    assert heat.bounding_box() == visit.card("red.png").locator(".frame img").first.bounding_box()


def test_a_new_classification_removes_the_heatmap(visit: Visit) -> None:
    button(visit, "red").click()
    heat = visit.card("red.png").locator("img.heat")
    expect(heat).to_have_count(1)
    visit.page.fill("#top-k", "2")
    visit.page.press("#top-k", "Enter")
    visit.page.press("#top-k", "Tab")
    expect(heat).to_have_count(0)
    expect(visit.page.locator(".areas")).to_have_count(2)


def test_an_error_is_shown_in_place_of_the_heatmap(visit: Visit) -> None:
    visit.page.route("**/v1/explain*", lambda route: route.fulfill(status=429, json={"message": "Too busy."}))
    button(visit, "red").click()
    expect(visit.card("red.png").get_by_role("status")).to_have_text("Too busy.")
    expect(button(visit, "red")).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_accessibility_problems(
    browser: Browser, address: str, tmp_path: Path, scheme: str
) -> None:
    Image.new("RGB", (90, 120), "red").save(tmp_path / "red.png")
    with visit_page(browser, address, color_scheme=scheme, reduced_motion="reduce") as visit:
        visit.give(tmp_path / "red.png")
        visit.settle()
        button(visit, "red").click()
        expect(visit.card("red.png").locator("img.heat")).to_have_count(1)
        axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
        visit.page.evaluate(axe + ";0")
        found = visit.page.evaluate("axe.run()")
        assert [problem["id"] for problem in found["violations"]] == []
