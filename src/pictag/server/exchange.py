"""One request as the protocols see it: its headers, its query, its body, its deadline."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from pictag.errors import shorten
from pictag.server.bodies import ClientLeft, read_body
from pictag.server.refusals import BadRequest, Overloaded, Reply

if TYPE_CHECKING:
    from pictag.server.services import Services

_MAX_QUERY_FIELDS = 32
_DIGITS_OF_A_TIME = 12
_DIGITS_OF_A_SIZE = 18


class Exchange:
    """One request. Its body is read once, by `read`; from then on a client that leaves cancels the work."""

    __slots__ = (
        "_body_came_s",
        "_held_bytes",
        "_receive",
        "_watcher",
        "client_left",
        "headers",
        "is_read",
        "model",
        "path_params",
        "query_string",
        "received_bytes",
        "request_id",
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
        self.request_id = request_id
        self.query_string: bytes = scope["query_string"]
        self.path_params: Mapping[str, str] = {}
        self.route, self.model = "other", ""  # for log and metrics
        self.client_left = False
        self.received_bytes = 0  # before anything is decompressed
        self._held_bytes = 0
        # Or there is none, or it will be thrown away: the next request on this connection can be found.
        self.is_read = b"content-length" not in headers and b"transfer-encoding" not in headers
        self._receive = receive
        self.started_s = self._body_came_s = time.monotonic()
        self._watcher: asyncio.Task[None] | None = None

    def header(self, name: bytes) -> str | None:
        """A header's value, by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def query(self) -> dict[str, str]:
        """The query's fields; raises `BadRequest` where one stands twice."""
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
                raise BadRequest(f"The query has {shorten(repr(name), 60)} twice.")
            found[name] = value
        return found

    @property
    def announced_bytes(self) -> int | None:
        """The body's size as its header states it, where it states one that the server would read."""
        text = self.header(b"content-length")
        if text is None or not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_OF_A_SIZE):
            return None
        return int(text) if int(text) <= self.services.settings.max_body_bytes else None

    def skip(self) -> None:
        """Answer before the body has come; it is thrown away as it comes, so that the connection stays.

        One who waits for leave to send it may never do so, and what came next would be taken for the body:
        that connection is closed, as where nobody knows how long the body will be.
        """
        self.is_read = self.announced_bytes is not None and b"expect" not in self.headers

    async def read(self) -> bytes:
        """The body, within the server's limits.

        Raises `Overloaded` where too much is held already, and as `pictag.server.bodies.read_body` does.
        """
        settings = self.services.settings
        try:
            body = await read_body(
                self._count,
                announced=self.header(b"content-length"),
                encoding=self.header(b"content-encoding"),
                max_bytes=settings.max_body_bytes,
                timeout_s=settings.body_timeout_s,
            )
            self._hold(len(body))  # it may have been unfolded
        except Overloaded as refusal:
            self.services.metrics.refused(refusal.reason)
            self.skip()
            raise
        self.is_read = True
        self._body_came_s = time.monotonic()
        self._watcher = asyncio.create_task(self._watch(asyncio.current_task()))
        return body

    def deadline_s(self, timeout_s: float | None = None) -> float:
        """When the answer is due on the monotonic clock, counted from when the body had come.

        The header ``X-Request-Timeout-Ms`` counts, or else ``timeout_s`` of the protocol, or else the
        server's own; never more than the server's largest. Raises `BadRequest`.
        """
        settings = self.services.settings
        text = self.header(b"x-request-timeout-ms")
        if text is not None:
            if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS_OF_A_TIME and int(text)):
                raise BadRequest(
                    f"X-Request-Timeout-Ms={shorten(repr(text), 60)} is no whole number of 1 or more."
                )
            timeout_s = int(text) / 1000
        if timeout_s is None:
            timeout_s = settings.request_timeout_s
        return self._body_came_s + min(timeout_s, settings.max_request_timeout_s)

    def stop_watching(self) -> None:
        """The work is done: a client that leaves now cancels nothing."""
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None

    def close(self) -> None:
        """The request is done with, and so is its body."""
        self.stop_watching()
        self.services.arrivals.drop(self._held_bytes)
        self._held_bytes = 0

    async def _count(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self.received_bytes += len(message.get("body", b""))
        self._hold(self.received_bytes)
        return message

    def _hold(self, size: int) -> None:
        if size > self._held_bytes:
            self.services.arrivals.grow(self._held_bytes, size - self._held_bytes)
            self._held_bytes = size

    async def _watch(self, worker: asyncio.Task[Any] | None) -> None:
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self.client_left = True
        if worker is not None:
            worker.cancel()


def answer_json(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply in JSON; what is no JSON (NaN) must not be in ``value``."""
    body = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return Reply(status=status, headers={"Content-Type": "application/json", **(headers or {})}, body=body)


__all__ = ["ClientLeft", "Exchange", "answer_json"]
