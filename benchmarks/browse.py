"""The gallery's page in a real Chromium, with a library of 100,000 synthetic entries whose files exist.

The files are links to some photographs. Times are those that a person waits, in the browser; run this when
nothing else needs the cores.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import sys
import tempfile
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from benchmarks.figures import ROOT, SHARED, Figure, Options, print_progress, require_shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

ENTRIES, QUICK_ENTRIES = 100_000, 2_000
ROUNDS, QUICK_ROUNDS = 9, 2
REVIEWED = 100
FIRST_MS, NEXT_MS, FACET_MS = 1000, 150, 200
_FILLED = """() => {
  const tiles = [...document.querySelectorAll('.tile')].filter((tile) => {
    const box = tile.getBoundingClientRect();
    return box.bottom > 0 && box.top < innerHeight;
  });
  return tiles.length > 0 && tiles.every((tile) => tile.ariaLabel && tile.ariaLabel !== 'Loading');
}"""
# Waits for the next frame, as often as needed; the time is that of the browser's clock.
_TIME = """async ([act, done]) => {
  const start = performance.now();
  eval(act);
  const isDone = eval(done);
  while (!isDone()) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    sys.path[:0] = [str(ROOT / "tests")]  # the servers, browsers and libraries that the tests make
    from browsing import launch_browser
    from galleryserver import run_gallery

    count = QUICK_ENTRIES if options.quick else ENTRIES
    rounds = QUICK_ROUNDS if options.quick else ROUNDS
    with tempfile.TemporaryDirectory() as name:
        print_progress(f"making a library of {count:,} entries")
        library = make(Path(name), count)
        with run_gallery(library) as served, launch_browser() as browser:
            started = time.perf_counter()
            served.library.warm_up()
            warm_s = time.perf_counter() - started
            context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=True)
            page = context.new_page()
            outside: list[str] = []
            page.on("request", lambda request: outside.append(request.url))
            first = [measure_first(page, served.entrance) for _ in range(rounds)]
            following = list(measure_next(page, rounds))
            facets = list(measure_facets(page, rounds))
            wrong = count_wrong_decisions(page, library, served.address)
            problems = count_problems(page, served.address)
        outside = [url for url in outside if not url.startswith(served.address)]
    detail = f"{count:,} entries, median of {rounds}; Chromium, 1280 × 800"
    return [
        Figure(
            name="browse: first grid", measured=statistics.median(first), target=FIRST_MS, unit="ms",
            detail=f"{detail}; from opening the address to the first photo; the library is read in "
            f"{warm_s:.1f} s when pictag browse starts",
        ),
        Figure(
            name="browse: next page while scrolling", measured=statistics.median(following), target=NEXT_MS,
            unit="ms", detail=f"{detail}; from the scroll to labels and frames of all photos in the window",
        ),
        Figure(
            name="browse: click on a filter", measured=statistics.median(facets), target=FACET_MS, unit="ms",
            detail=f"{detail}; from the click to the new photos and counts",
        ),
        Figure(
            name="browse: wrong decisions of 100 made and undone by keyboard", measured=wrong, target=0,
            unit="", detail="confirmed with y, read from the library, undone with u, read again",
        ),
        Figure(
            name="browse: accessibility problems that axe finds", measured=problems, target=0, unit="",
            detail="grid, photo, duplicates",
        ),
        Figure(
            name="browse: requests to other hosts", measured=len(outside), target=0, unit="",
            detail=", ".join(outside[:3]) or "none in all of the above",
        ),
    ]  # fmt: skip


def make(folder: Path, count: int) -> Path:
    """A library of synthetic entries with files that are links to photographs."""
    from libraries import ROOT as PLACE
    from libraries import make_library, synthesize

    originals = []
    for number, path in enumerate(sorted((SHARED / "images" / "imagenet").iterdir())[:200]):
        with Image.open(path) as image:
            copy = folder / f"{number}.jpg"
            image.convert("RGB").save(copy, quality=85)
            os.utime(copy, ns=(0, 0))  # as the library has it
            originals.append((copy, image.size, copy.stat().st_size))

    def list_entries() -> Iterator[object]:
        for number, entry in enumerate(synthesize(count)):
            copy, (width, height), size = originals[number % len(originals)]
            path = folder / "photos" / entry.path.removeprefix(f"{PLACE}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.hardlink_to(copy)
            yield dataclasses.replace(entry, path=str(path), width=width, height=height, size=size)

    library = folder / "gallery.db"
    make_library(library, list_entries(), root=str(folder / "photos")).close()  # type: ignore[arg-type]
    return library


def measure_first(page: Page, entrance: str) -> float:
    """From opening the address to the first photo."""
    page.goto("about:blank")
    start = time.perf_counter()
    page.goto(entrance, wait_until="commit")
    page.wait_for_selector(".tile img.shown", state="attached")
    return 1000 * (time.perf_counter() - start)


def measure_next(page: Page, rounds: int) -> Iterator[float]:
    """Scroll to a page that hasn't been loaded, by wheel-like steps, and wait for its photos."""
    page.wait_for_selector("#facets button", state="attached")
    for number in range(1, rounds + 1):
        yield page.evaluate(_TIME, [f"scrollTo(0, {number} * 6000)", _FILLED])
        page.wait_for_timeout(200)
    page.evaluate("scrollTo(0, 0)")


def measure_facets(page: Page, rounds: int) -> Iterator[float]:
    """Click on filters one after the other, and wait for the photos and for the counts."""
    for number in range(rounds):
        page.wait_for_timeout(200)
        act = (
            "document.querySelector('#facets').classList.add('old'); document.querySelectorAll('.tile')"
            ".forEach((tile) => tile.classList.add('former'));"
            f"document.querySelectorAll('#facets .facet button[data-value]')[{number % 5}].click()"
        )
        done = "() => !document.querySelector('#facets.old') && !document.querySelector('.tile.former')"
        yield page.evaluate(_TIME, [act, done])


def count_wrong_decisions(page: Page, library: Path, address: str) -> int:
    """Confirm photos with the keyboard, undo it, and count the decisions that aren't as they should be."""
    from pictag.gallery import Gallery
    from pictag.gallery.decisions import export_decisions

    def read() -> set[str]:
        with Gallery.open(library) as gallery:
            return set(export_decisions(gallery.connection))

    page.goto(f"{address}/?label=tench&is=unreviewed")
    page.wait_for_selector(".tile img.shown", state="attached")
    before = read()
    page.locator('.tile[data-index="0"]').focus()
    for _ in range(REVIEWED):
        page.keyboard.press("y")
    page.wait_for_selector(f'.tile[data-index="{REVIEWED - 1}"][data-verdict="confirmed"]')
    wrong = abs(len(read() - before) - REVIEWED)
    for _ in range(REVIEWED):
        page.keyboard.press("u")
    page.wait_for_function("() => !document.querySelector('.tile[data-verdict=confirmed]')")
    deadline = time.monotonic() + 30
    while read() != before and time.monotonic() < deadline:
        time.sleep(0.1)
    return wrong + len(read() ^ before)


def count_problems(page: Page, address: str) -> int:
    """What axe finds in three views."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
    found = 0
    for view, part in (("", ".tile img.shown"), ("?view=duplicates", "#groups p, article")):
        page.goto(f"{address}/{view}")
        page.wait_for_selector(part, state="attached")
        page.evaluate(axe + ";0")
        found += len(page.evaluate("axe.run()")["violations"])
        if not view:
            page.locator(".tile").first.click()
            page.wait_for_selector("#photo .labels")
            found += len(page.evaluate("axe.run()")["violations"])
    return found
