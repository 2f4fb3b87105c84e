"""The page for a browser: drop images, see their labels. Plain files, no build step, no other host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from pictag.server.scoring import MAX_TOP_K

if TYPE_CHECKING:
    from pictag.server.settings import ServerSettings

__all__ = ["routes"]

_ASSETS = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "card.js": "text/javascript; charset=utf-8",
    "client.js": "text/javascript; charset=utf-8",
    "curl.js": "text/javascript; charset=utf-8",
    "intake.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}

# Everything that is not named is forbidden: code from elsewhere, code or style inside the page, frames around
# it, forms that leave it, and any text that a script would turn into markup (trusted-types).
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # asked again each time, and answered with 304 while nothing has changed
}


def routes(settings: ServerSettings) -> list[Route]:
    """Where a browser finds the page: ``GET /`` that accepts ``text/html``, and its files below ``/page/``.

    They stand before the other routes: a request to ``/`` that does not ask for HTML is left to them. They
    hold nothing that needs a key. Without ``settings.page`` there are none.
    """
    if not settings.page:
        return []
    html = (
        _read("index.html")
        .replace(b"{max_body_bytes}", str(settings.max_body_bytes).encode())
        .replace(b"{top_k}", str(settings.default_top_k).encode())
        .replace(b"{max_top_k}", str(MAX_TOP_K).encode())
    )
    headers = {**_HEADERS, "Vary": "Accept"}
    page = _PageRoute("/", _Static(html, "text/html; charset=utf-8", headers), methods=["GET"])
    assets = [
        Route(f"/page/{name}", _Static(_read(name), media_type, _HEADERS), methods=["GET"])
        for name, media_type in _ASSETS.items()
    ]
    return [page, *assets]


class _PageRoute(Route):
    """Matches only who asks for HTML by name; ``*/*``, which curl sends, is not that."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        if match is Match.FULL and _accepts_html(Request(scope).headers.get("accept", "")):
            return match, child
        return Match.NONE, {}


class _Static:
    """An endpoint whose answer is known when the server starts."""

    def __init__(self, content: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        self.content = content
        self.media_type = media_type
        self.headers = {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        unchanged = Request(scope).headers.get("if-none-match") == self.headers["ETag"]
        response = (
            Response(status_code=304, headers=self.headers)
            if unchanged
            else Response(self.content, headers=self.headers, media_type=self.media_type)
        )
        await response(scope, receive, send)


def _accepts_html(accept: str) -> bool:
    """Whether ``text/html`` is named, and not with a weight of nothing.

    >>> _accepts_html("text/html,application/xhtml+xml,*/*;q=0.8")
    True
    >>> _accepts_html("*/*"), _accepts_html("application/json, text/html;q=0")
    (False, False)
    """
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        if name == "text/html":
            weight = next((p[2:] for p in parameters if p.startswith("q=")), "1")
            return weight.strip("0.") != ""
    return False


def _read(name: str) -> bytes:
    return (files("pictag.server.page") / name).read_bytes()
