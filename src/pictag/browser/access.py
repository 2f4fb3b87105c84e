"""Who may use the page: only a browser of this machine that was given the token.

| what is refused | which attack it stops |
|---|---|
| another ``Host`` than this machine's | a web site whose name is pointed at 127.0.0.1 (DNS rebinding) |
| ``Sec-Fetch-Site`` or ``Origin`` of another page | web sites and other ports that use the cookie |
| neither token nor cookie | other users and programs of this machine |
| scripts, styles and frames that aren't the page's own | markup in file names and keywords |
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from starlette.datastructures import MutableHeaders, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pictag.server.web_page import PAGE_HEADERS

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS: Final = ("127.0.0.1", "localhost", "[::1]")
_MONTH_S: Final = 30 * 24 * 60 * 60
_REFUSED: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>pictag</title>
<h1>{title}</h1><p>{advice}</p></html>"""


class Guard:
    """Answers requests that aren't allowed, and adds the headers that protect the page to all others."""

    def __init__(self, app: ASGIApp, *, token: str, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._cookie = f"pictag-{port}"  # cookies don't distinguish ports
        self._hosts = frozenset(f"{host}:{port}" for host in HOSTS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refuse(request)
        app = self._app if refusal is None else refusal

        async def protect(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in PAGE_HEADERS.items():
                    headers.setdefault(name, value)
                if refusal is None and self._arrives(request):
                    token = self._token.decode()
                    headers.append(
                        "Set-Cookie",
                        f"{self._cookie}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={_MONTH_S}",
                    )
            await send(message)

        await app(scope, receive, protect)

    def _refuse(self, request: Request) -> Response | None:
        headers = request.headers
        if headers.get("host", "").lower() not in self._hosts:
            return _answer(403, "Wrong address", "Open the page by the address that pictag browse printed.")
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and not self._arrives(request):
            return _answer(403, "Another page asked", "Open the address that pictag browse printed.")
        origin, host = headers.get("origin"), headers["host"].lower()
        is_own = origin == f"http://{host}"
        if origin is not None and not is_own:
            return _answer(403, "Another page asked", "Requests of other pages aren't allowed.")
        has_header = self._is_token(headers.get("x-pictag-token", ""))
        has_cookie = self._is_token(request.cookies.get(self._cookie, ""))
        if request.method not in ("GET", "HEAD") and not (is_own or has_header):
            return _answer(403, "Another page asked", "This request has no origin.")
        if not (has_header or has_cookie or self._arrives(request)):
            return _answer(
                401,
                "The token is missing",
                "Open the complete address that pictag browse printed; it changes with each start.",
            )
        return None

    def _arrives(self, request: Request) -> bool:
        """Whether this is the page's first request, with the token in the URL."""
        if request.scope["path"] != "/" or request.method != "GET":
            return False
        return self._is_token(QueryParams(request.scope["query_string"]).get("token", ""))

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode("utf-8", "replace"), self._token)


def _answer(status: int, title: str, advice: str) -> Response:
    return HTMLResponse(
        _REFUSED.format(title=title, advice=advice), status_code=status, headers={"Cache-Control": "no-store"}
    )
