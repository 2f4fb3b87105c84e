"""The web page for trying a model in a browser. Static files, no build step, no other hosts."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles

from pictag import __version__
from pictag.server.settings import MAX_TOP_K

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Scope

    from pictag.server.settings import ServerSettings

_FOLDER = Path(__file__).parent / "page"
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
PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # revalidated each time, answered with 304 if unchanged
}


def make_routes(settings: ServerSettings) -> list[BaseRoute]:
    """The page at ``GET /`` for clients that accept ``text/html``, and its files below ``/page/``.

    They must come before the other routes, which handle requests to ``/`` that don't ask for HTML. They work
    without the API key. Without ``settings.page`` there are none.
    """
    if not settings.page:
        return []
    mimetypes.add_type("text/javascript", ".js")  # Windows may say text/plain, which browsers then refuse
    html = (_FOLDER / "index.html").read_text(encoding="utf-8")
    values = {
        "max_body_bytes": settings.max_body_bytes,
        "top_k": settings.default_top_k,
        "max_top_k": MAX_TOP_K,
        "version": __version__,
    }
    for name, value in values.items():
        html = html.replace(f"{{{name}}}", str(value))

    async def show(_request: Request) -> Response:
        return HTMLResponse(html, headers={**PAGE_HEADERS, "Vary": "Accept"})

    return [_PageRoute("/", show), Mount("/page", PageFiles(directory=_FOLDER))]


class _PageRoute(Route):
    """Matches only requests that accept ``text/html`` by name; curl sends ``*/*``."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        accepts_html = match is Match.FULL and "text/html" in Headers(scope=scope).get("accept", "")
        return (match, child) if accepts_html else (Match.NONE, {})


class PageFiles(StaticFiles):
    """The page's files with the headers that protect it."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The response with a file."""
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        return response
