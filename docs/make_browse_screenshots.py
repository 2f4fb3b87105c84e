"""Write docs/images/browse-*.png, with a Chromium on the path: ``python docs/make_browse_screenshots.py``.

The photographs are scikit-image's (``pip install 'pictag[demo]'``), free of rights: camera.png, chelsea.png,
coffee.png and motorcycle_left.png are CC0; astronaut.png, hubble_deep_field.jpg and rocket.jpg are in the
public domain by NASA and SpaceX.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from make_screenshots import COLOURS, IMAGES
from PIL import Image
from playwright.sync_api import Page, ViewportSize, sync_playwright

if TYPE_CHECKING:
    from collections.abc import Iterator

PHOTOGRAPHS = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg",
    "motorcycle_left.png", "rocket.jpg",
)  # fmt: skip
SIZE: ViewportSize = {"width": 1080, "height": 620}
PICTAG = (sys.executable, "-m", "pictag")


def main() -> None:
    """Index the photographs, browse them, and take two images."""
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        sys.exit("The photographs are scikit-image's: pip install 'pictag[demo]'")
    data = Path(package.origin).parent / "data"
    with (
        tempfile.TemporaryDirectory() as name,
        browse(Path(name), data) as address,
        sync_playwright() as play,
    ):
        chromium = play.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            context = chromium.new_context(
                viewport=SIZE, color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce"
            )
            page = context.new_page()
            page.goto(address)
            page.locator("#facets button").first.wait_for()
            if scheme == "dark":
                page.get_by_role("option", name="chelsea.png").click()
                page.locator(".labels").wait_for()
            else:
                review(page)
            page.wait_for_timeout(800)  # the photographs are drawn
            image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            kind = "photo" if scheme == "dark" else "page"
            image.quantize(COLOURS, kmeans=2, dither=Image.Dither.FLOYDSTEINBERG).save(
                IMAGES / f"browse-{kind}.png", optimize=True
            )
        chromium.close()


@contextlib.contextmanager
def browse(folder: Path, data: Path) -> Iterator[str]:
    """The address of a page with the photographs."""
    photos, library = folder / "photos", ("--library", str(folder / "gallery.db"))
    photos.mkdir()
    for name in PHOTOGRAPHS:
        shutil.copy(data / name, photos)
    subprocess.run(
        [*PICTAG, "index", str(photos), "--model", "efficientnet-lite0", "--quiet", *library], check=True
    )
    command = [*PICTAG, "browse", *library]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def review(page: Page) -> None:
    """Confirm one photo's label, and reject another's."""
    for name, key in (("coffee.png", "y"), ("hubble_deep_field.jpg", "n")):
        page.get_by_role("option", name=name).focus()
        page.keyboard.press(key)
    toast = page.locator("#toast.shown", has_text="Rejected")
    toast.wait_for()
    toast.wait_for(state="hidden")  # it would cover captions


if __name__ == "__main__":
    main()
