"""The web page for trying a model in a browser. Static files, no build step, no other hosts."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
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

# Everything not listed is forbidden: other origins, inline scripts and styles, frames around the page, forms,
# and text that a script turns into markup (trusted-types).
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
    "Cache-Control": "no-cache",  # revalidated each time, answered with 304 if unchanged
}


def routes(settings: ServerSettings) -> list[Route]:
    """The page at ``GET /`` for clients that accept ``text/html``, and its files below ``/page/``.

    They must come before the other routes, which handle requests to ``/`` that don't ask for HTML. They work
    without the API key. Without ``settings.page`` there are none.
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
    """Matches only requests that accept ``text/html`` by name; curl sends ``*/*``."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        accepts_html = "text/html" in Headers(scope=scope).get("accept", "")
        return super().matches(scope) if accepts_html else (Match.NONE, {})


class _Static:
    """An endpoint whose response is known when the server starts."""

    def __init__(self, content: bytes, media_type: str, headers: Mapping[str, str]) -> None:
        self.content = content
        self.media_type = media_type
        self.headers = {**headers, "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        unchanged = Headers(scope=scope).get("if-none-match") == self.headers["ETag"]
        response = (
            Response(status_code=304, headers=self.headers)
            if unchanged
            else Response(self.content, headers=self.headers, media_type=self.media_type)
        )
        await response(scope, receive, send)


def _read(name: str) -> bytes:
    return (files("pictag.server.page") / name).read_bytes()
