"""Opening the server's page in a real Chromium, with checks that apply to every visit."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, FilePayload, Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


LONGEST_MS = 30_000  # the longest wait for anything; the machine may be busy


@contextmanager
def launch_browser() -> Iterator[Browser]:
    """The system's Chromium, headless and with an empty profile; skips the test if there is none."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the path (Debian: apt-get install chromium)")
    expect.set_options(timeout=LONGEST_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visit_page(browser: Browser, address: str, **options: Any) -> Iterator[Visit]:
    """Open the page; at the end, check that there were no script errors and no requests to other hosts."""
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)
    context.set_default_timeout(LONGEST_MS)
    visit = Visit(context.new_page(), address)
    yield visit
    context.close()
    assert visit.errors == []
    assert [url for _, url in visit.requests if not url.startswith((address, f"blob:{address}"))] == []


class Visit:
    """One visit to the page, with its requests and errors."""

    def __init__(self, page: Page, address: str) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[tuple[str, str]] = []
        self.most_in_flight = self._in_flight = 0
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self._note_console(message.text))
        page.on("request", lambda request: self.requests.append((request.method, request.url)))
        page.on("request", lambda request: self._count(request.method, 1))
        page.on("requestfinished", lambda request: self._count(request.method, -1))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective))"
        )
        page.goto(address)

    def _note_console(self, text: str) -> None:
        # Chromium also reports each rejected request, which some tests provoke.
        if not text.startswith("Failed to load resource"):
            self.errors.append(text)

    def _count(self, method: str, change: int) -> None:
        if method == "POST":
            self._in_flight += change
            self.most_in_flight = max(self.most_in_flight, self._in_flight)

    @property
    def posts(self) -> list[str]:
        """The URLs that images were sent to."""
        return [url for method, url in self.requests if method == "POST"]

    def give(self, *images: Path | FilePayload) -> None:
        """Choose files on disk, or those made by `file`."""
        chosen = [file(p.name, p.read_bytes()) if isinstance(p, Path) else p for p in images]
        self.page.set_input_files("#files", chosen)

    def drop(self, *paths: Path) -> None:
        """Drop files and folders with the mouse."""
        self._drop({"items": [], "files": [str(path) for path in paths]})

    def drop_text(self, text: str, media_type: str, onto: str = "#drop") -> None:
        """Drop text with the mouse; links are ``text/uri-list``."""
        self._drop({"items": [{"mimeType": media_type, "data": text}], "files": []}, onto)

    def _drop(self, content: dict[str, Any], onto: str = "#drop") -> None:
        box = self.page.locator(onto).bounding_box()
        assert box is not None
        session = self.page.context.new_cdp_session(self.page)
        data = {**content, "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            event = {"type": kind, "x": box["x"] + 9, "y": box["y"] + 9, "data": data}
            session.send("Input.dispatchDragEvent", event)

    def paste_text(self, text: str) -> None:
        """Copy the text and press the keys for pasting."""
        self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        self.page.keyboard.press("Control+v")

    def card(self, name: str) -> Locator:
        """The card of one image."""
        return self.page.locator(".card").filter(has=self.page.get_by_role("heading", name=name, exact=True))

    def labels(self, name: str) -> list[tuple[str, str]]:
        """Wait for the labels and percentages of one image."""
        card = self.card(name)
        expect(card).to_have_attribute("data-state", "done")
        labels = card.locator(".label").all_text_contents()
        return list(zip(labels, card.locator(".labels .score").all_text_contents(), strict=True))

    def settle(self) -> None:
        """Wait until all images are done."""
        expect(self.page.locator(".card").first).to_be_visible()
        expect(self.page.locator(".card[aria-busy=true]")).to_have_count(0)


def file(name: str, content: bytes) -> FilePayload:
    return {"name": name, "mimeType": "image/png", "buffer": content}
