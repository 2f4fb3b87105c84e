"""Write docs/images/server-page*.png and evaluation-report.png, with a Chromium on the path.

    pictag serve --model embedded
    python docs/make_screenshots.py http://127.0.0.1:8000

    pictag evaluate ants-bees --split val --model efficientnet-lite0 --map classes.csv --output report
    python docs/make_screenshots.py report/report.html

Of a report it takes the upper part, which has no photographs.

The server page's photographs are scikit-image's (``pip install 'pictag[demo]'``), free of rights:
chelsea.png and coffee.png are CC0 by Stefan van der Walt and Rachel Michetti, rocket.jpg is in the public
domain by SpaceX.
"""

from __future__ import annotations

import importlib.util
import io
import shutil
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Playwright, ViewportSize, sync_playwright

IMAGES = Path(__file__).with_name("images")
PHOTOGRAPHS = ("chelsea.png", "coffee.png", "rocket.jpg")
# Where, in which colours, with how many photographs.
SCREENSHOTS = {
    "server-page.png": ("light", 3),
    "server-page-dark.png": ("dark", 3),
    "server-page-empty.png": ("light", 0),
}
REPORT = "evaluation-report.png"
REPORT_SIZE: ViewportSize = {"width": 1080, "height": 1075}
SIZE: ViewportSize = {"width": 1080, "height": 600}  # higher if the page is
COLOURS = 256  # a page has few, and the file is a third as large


def main(address: str) -> None:
    """Visit the page, give it the photographs, and take its image; or take that of a report."""
    if address.endswith(".html"):
        with sync_playwright() as playwright:
            browser = launch(playwright)
            page = browser.new_page(viewport=REPORT_SIZE)
            page.goto(Path(address).resolve().as_uri())
            save(page.screenshot(), REPORT)
            browser.close()
        return
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        sys.exit("The photographs are scikit-image's: pip install 'pictag[demo]'")
    photographs = [Path(package.origin).parent / "data" / name for name in PHOTOGRAPHS]
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name, (scheme, count) in SCREENSHOTS.items():
            save(take_image(browser, address, scheme, photographs[:count]), name)
        browser.close()


def launch(playwright: Playwright) -> Browser:
    """The Chromium on the path."""
    return playwright.chromium.launch(
        executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
    )


def save(content: bytes, name: str) -> None:
    """Write the PNG with few colours."""
    image = Image.open(io.BytesIO(content)).convert("RGB")
    image.quantize(COLOURS, kmeans=2, dither=Image.Dither.FLOYDSTEINBERG).save(IMAGES / name, optimize=True)


def take_image(browser: Browser, address: str, scheme: str, photographs: list[Path]) -> bytes:
    """A PNG of the page with these photographs and their labels."""
    context = browser.new_context(
        viewport=SIZE,
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    page.goto(address)
    page.set_input_files("#files", photographs)
    for card in page.locator(".card").all():
        card.locator(".labels li").first.wait_for()
    page.locator("#model-hint:not(:empty)").wait_for()
    page.wait_for_timeout(300)  # the photographs are drawn
    content = page.screenshot(full_page=True)
    context.close()
    return content


if __name__ == "__main__":
    main(*sys.argv[1:])
