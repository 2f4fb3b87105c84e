"""One HTTP request as the protocols see it: headers, query, body and deadline."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pictag.errors import shorten
from pictag.server.bodies import read_body
from pictag.server.http_errors import BadRequest, Overloaded

if TYPE_CHECKING:
    from pictag.server.services import Services

_MAX_QUERY_FIELDS = 32
_MAX_TIMEOUT_DIGITS = 12
_MAX_LENGTH_DIGITS = 18


class Request:
    """A request whose body is read once, by `read`; after that, the work is cancelled if the client leaves.

    Not `starlette.requests.Request`, which doesn't limit the body's size and time and drops duplicate query
    fields.
    """

    __slots__ = (
        "_body_received_s",
        "_held_bytes",
        "_receive",
        "_watcher",
        "client_left",
        "headers",
        "id",
        "is_read",
        "model",
        "path_params",
        "query_string",
        "received_bytes",
        "route",
        "services",
        "started_s",
    )

    def __init__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        *,
        services: Services,
        headers: Mapping[bytes, bytes],
        request_id: str,
    ) -> None:
        self.services = services
        self.headers = headers
        self.id = request_id
        self.query_string: bytes = scope["query_string"]
        self.path_params: Mapping[str, str] = {}
        self.route, self.model = "other", ""  # for log and metrics
        self.client_left = False
        self.received_bytes = 0  # before decompression
        self._held_bytes = 0
        # True if nothing of the body is left that would have to be read before the connection's next request.
        self.is_read = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._receive = receive
        self.started_s = self._body_received_s = time.monotonic()
        self._watcher: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str | None:
        """A header's value, by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query's fields; raises `BadRequest` for duplicates."""
        if not self.query_string:
            return {}
        try:
            fields = parse_qsl(
                self.query_string.decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_QUERY_FIELDS
            )
        except ValueError as error:
            raise BadRequest(f"The query has more than {_MAX_QUERY_FIELDS} fields.") from error
        found: dict[str, str] = {}
        for name, value in fields:
            if name in found:
                raise BadRequest(f"The query has the field {shorten(repr(name), 60)} twice.")
            found[name] = value
        return found

    @property
    def content_length(self) -> int | None:
        """The body's size according to its header, if that is valid and within the limit."""
        text = self.header(b"content-length")
        if text is None or not (text.isascii() and text.isdecimal() and len(text) <= _MAX_LENGTH_DIGITS):
            return None
        return int(text) if int(text) <= self.services.settings.max_body_bytes else None

    def skip_body(self) -> None:
        """Respond before the body arrives; the body is discarded, and the connection stays open if possible.

        The connection is closed if the end of the body can't be known: its length is unknown, or the client
        waits for ``100 Continue`` and may never send it.
        """
        self.is_read = self.content_length is not None and b"expect" not in self.headers

    async def read(self) -> bytes:
        """The body, within the server's limits.

        Raises `Overloaded` if the body budget is used up, and what `pictag.server.bodies.read_body` raises.
        """
        settings = self.services.settings
        try:
            body = await read_body(
                self._receive_counted,
                announced=self.header(b"content-length"),
                encoding=self.header(b"content-encoding"),
                max_bytes=settings.max_body_bytes,
                timeout_s=settings.body_timeout_s,
            )
            self._hold(len(body))  # may be more than was received, if it was compressed
        except Overloaded as error:
            self.services.metrics.refused(error.reason)
            self.skip_body()
            raise
        self.is_read = True
        self._body_received_s = time.monotonic()
        self._watcher = asyncio.create_task(self._watch(asyncio.current_task()))
        return body

    def deadline_s(self, timeout_s: float | None = None) -> float:
        """When the response is due on the monotonic clock, counted from when the body was received.

        ``X-Request-Timeout-Ms`` takes precedence over the protocol's ``timeout_s`` and the server's default;
        the server's maximum applies to all. Raises `BadRequest`.
        """
        settings = self.services.settings
        text = self.header(b"x-request-timeout-ms")
        if text is not None:
            if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_TIMEOUT_DIGITS and int(text)):
                raise BadRequest(
                    f"X-Request-Timeout-Ms={shorten(repr(text), 60)} is not a whole number of 1 or more."
                )
            timeout_s = int(text) / 1000
        if timeout_s is None:
            timeout_s = settings.request_timeout_s
        return self._body_received_s + min(timeout_s, settings.max_request_timeout_s)

    def stop_watching(self) -> None:
        """The work is done: a client that leaves now cancels nothing."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def close(self) -> None:
        """Release the body's memory; the request is finished."""
        self.stop_watching()
        self.services.body_budget.release(self._held_bytes)
        self._held_bytes = 0

    async def _receive_counted(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.received_bytes += len(message.get("body", b""))
        self._hold(self.received_bytes)
        return message

    def _hold(self, size: int) -> None:
        if size > self._held_bytes:
            self.services.body_budget.grow(self._held_bytes, size - self._held_bytes)
            self._held_bytes = size

    async def _watch(self, worker: asyncio.Task[Any] | None) -> None:
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self.client_left = True
        if worker is not None:
            worker.cancel()
