"""The report, in a real Chromium without a network."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from browsing import Visit, launch_browser, visit_page
from labelledimages import COLOURS, make_data, score
from pictag.evaluation import LabelledData, LabelledImage, ScoredImages, measure
from pictag.evaluation.html_report import render_report

HOSTILE = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    with launch_browser() as opened:
        yield opened


def make_scored(folder: Path, *, exclusive: bool = True) -> ScoredImages:
    """Scores of 60 real images in three classes, one of which has a hostile name."""
    generator = np.random.default_rng(5)
    labels = ("red", "green", HOSTILE)
    images = []
    for number in range(60):
        path = folder / f"{number}.png"
        Image.new("RGB", (90, 60), COLOURS[number % 3]).save(path)
        names = (labels[number % 3],) if exclusive else labels[: number % 3]
        images.append(LabelledImage(path=str(path), name=f"{HOSTILE}{number}.png", labels=names))
    data = LabelledData(
        place=folder, split="val", classes=labels, images=tuple(images), problems=(f"Odd: {HOSTILE}",)
    )
    logits = generator.normal(size=(60, 3)) + 1.5 * np.eye(3)[np.arange(60) % 3]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scores = shares if exclusive else 1 / (1 + np.exp(-logits))
    return score(data, scores, labels=labels, exclusive=exclusive, failed=[7])


def find_problems(visit: Visit) -> dict[str, list[str]]:
    """What axe finds: a rule, and the elements that break it."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    visit.page.evaluate(axe + ";0")
    found = visit.page.evaluate("axe.run()")
    assert "color-contrast" in {rule["id"] for rule in found["passes"]}
    return {rule["id"]: [node["html"] for node in rule["nodes"]] for rule in found["violations"]}


@pytest.mark.slow
@pytest.mark.parametrize(("exclusive", "width", "scheme"), [(True, 1180, "light"), (False, 390, "dark")])
def test_a_report_shows_all_parts_without_a_network_and_is_accessible(
    tmp_path: Path, browser: Browser, exclusive: bool, width: int, scheme: str
) -> None:
    report = tmp_path / "report.html"
    report.write_text(render_report(measure(make_scored(tmp_path, exclusive=exclusive))), encoding="utf-8")
    for image in tmp_path.glob("*.png"):
        image.unlink()  # the report has its own copies
    size = {"width": width, "height": 900}
    with visit_page(browser, report.as_uri(), viewport=size, color_scheme=scheme, offline=True) as visit:
        page = visit.page
        headings = page.get_by_role("heading", level=2).all_text_contents()
        parts = ["Read this first", "At a glance", "Labels", "Can the scores be trusted?"]
        if exclusive:
            parts[2:3] = ["Which threshold should I use?", "Classes", "Most confused classes"]
        assert {*parts, "Worst mistakes", "Not classified"} <= set(headings)
        shown = page.locator(".mistakes img")
        assert shown.count() > 5
        assert all(shown.evaluate_all("images => images.map(image => image.naturalWidth > 0)"))
        page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
        assert find_problems(visit) == {}
        assert page.evaluate("document.documentElement.scrollWidth") == width  # nothing is cut off
        expect(page.get_by_text(HOSTILE).first).to_be_attached()
        assert visit.requests == [("GET", report.as_uri())]


def test_a_report_has_no_script_and_no_outside_address(tmp_path: Path) -> None:
    text = render_report(measure(make_scored(tmp_path)))
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert HOSTILE not in text


def test_a_report_of_one_image_that_is_right_can_be_written(tmp_path: Path) -> None:
    text = render_report(measure(score(make_data(["red"]), [[1.0, 0.0, 0.0]])))
    assert "All images are right." in text


def test_a_mistake_whose_file_is_gone_has_no_thumbnail() -> None:
    text = render_report(measure(score(make_data(["red"], ["red"]), [[0.9, 0.1, 0], [0.1, 0.9, 0]])))
    assert "can&#39;t be shown" in text or "can't be shown" in text
