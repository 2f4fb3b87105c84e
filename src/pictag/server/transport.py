"""One connection: uvicorn's HTTP/1.1 protocol plus deadlines and limits for slow and hostile clients.

| | what the client sees |
|---|---|
| a new connection that sends nothing | closed |
| headers that are not complete in time | 408 |
| a request line or headers above the limits | 431 |
| invalid or ambiguous HTTP/1.1 | 400 |
| more connections than allowed | 429, or a reset if there are twice as many |
| a response that the client doesn't read | reset |

A response that was started is finished before its connection is closed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from pictag.server.framing import continue_after_headers, find_fault, render_error
from pictag.server.http_errors import BadRequest, HeadersTimeout, HeadersTooLarge, HTTPError, Overloaded
from pictag.server.lingering_close import LingeringTransport

if TYPE_CHECKING:
    import asyncio

    from pictag.server.prometheus import Metrics
    from pictag.server.settings import ServerSettings

_BUFFER_BYTES = 2**18  # of an unread body; more is left in the socket. uvicorn stops at 64 kB
MAX_PIPELINED = 16  # requests sent before the response to the first one
_HEADER_EXTRA_BYTES = 4  # ": " and the line break


def make_protocol(settings: ServerSettings, metrics: Metrics) -> Callable[..., Connection]:
    """The protocol factory for uvicorn."""
    return functools.partial(Connection, settings=settings, metrics=metrics)


class Connection(HttpToolsProtocol):
    """One client's connection. `check_deadlines` has to be called several times per second.

    A client that closes its sending side counts as gone, since the system can't tell the two apart. If a
    client has pipelined requests, its leaving is noticed only after the current response.
    """

    def __init__(self, *args: Any, settings: ServerSettings, metrics: Metrics, **named: Any) -> None:
        super().__init__(*args, **named)
        self.settings = settings
        self.metrics = metrics
        # On the event loop's clock, and what to do then: one for reading and one for writing.
        self._deadlines: dict[str, tuple[float, Callable[[], object]]] = {}
        self._in_headers = True  # or between two requests
        self._has_begun = False  # some bytes of a request have arrived
        self._stray_bytes = 0  # of headers, trailers and framing since the last piece of a body
        self._violation: HTTPError | None = None
        self._is_refusing = False  # the rest of the input is discarded
        self._is_stopping = False

    def check_deadlines(self, now_s: float) -> None:
        """Act on the deadlines that have passed."""
        for name, (due_s, act) in tuple(self._deadlines.items()):
            if now_s >= due_s:
                del self._deadlines[name]
                act()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a new connection unless there are too many."""
        lingering = LingeringTransport(transport, self.loop, max_linger_s=self.settings.body_timeout_s)
        super().connection_made(lingering)  # type: ignore[arg-type]
        self.metrics.connections.set(len(self.connections))
        excess = len(self.connections) - self.settings.max_connections
        if excess <= 0:
            self._set_deadline(
                "read",
                self.settings.silent_timeout_s,
                functools.partial(self._drop, "silent", self.transport.close),
            )
            return
        self._drop("connections")
        if excess > self.settings.max_connections:  # a response needs an open file
            self._is_refusing = True
            self.transport.abort()
        else:
            self._respond(Overloaded(1, "The server has too many connections."))

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up; the application cancels the work for its request."""
        self.pipeline.clear()
        super().connection_lost(exc)
        self.metrics.connections.set(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Parse the input within the limits."""
        if self._is_refusing or self.transport.is_closing():
            self.transport.discard()  # type: ignore[attr-defined]  # it is a LingeringTransport
            return
        if self._in_headers:
            self._begin_headers()
        self._stray_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._violation or BadRequest("The request is not valid HTTP/1.1."))
        else:
            # Complete headers are measured exactly; this is for those that never end.
            if self._stray_bytes > self.settings.max_header_bytes:
                self._refuse(_too_large(self.settings))

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._begin_headers()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read one header. Trailers after the body are not used."""
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind the current one."""
        self._stray_bytes = 0
        self._check_headers()
        self._in_headers = self._has_begun = False
        self._deadlines.pop("read", None)
        super().on_headers_complete()
        if self._is_stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; after the response it is discarded."""
        self._stray_bytes = 0
        if not self.cycle.response_complete:
            self.cycle.body += body
            if len(self.cycle.body) > _BUFFER_BYTES:
                self.flow.pause_reading()
            self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The body is complete; the next bytes belong to another request."""
        self._stray_bytes = 0
        self._in_headers = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request, or close the connection."""
        if self._is_refusing and not self.pipeline:
            self.transport.close()
        super().on_response_complete()
        self._unset_keepalive_if_required()  # uvicorn's own timer
        # If the next request has begun, its own deadline applies.
        if not self.pipeline and not self._is_busy() and not self._has_begun:
            self._set_deadline("read", self.settings.keep_alive_s, self.transport.close)

    def pause_writing(self) -> None:
        """The client doesn't read its response: reset the connection unless it continues in time."""
        super().pause_writing()
        reset = functools.partial(self._drop, "slow_reader", self.transport.abort)
        self._set_deadline("write", self.settings.body_timeout_s, reset)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._deadlines.pop("write", None)

    def shutdown(self) -> None:
        """Accept no further request except one that is already on its way."""
        self._is_stopping = True
        if self._is_busy():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(min(1.0, self.settings.shutdown_timeout_s / 4), self._close_idle)

    def _set_deadline(self, name: str, seconds: float, act: Callable[[], object]) -> None:
        self._deadlines[name] = (self.loop.time() + seconds, act)

    def _begin_headers(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._set_deadline("read", self.settings.header_timeout_s, self._close_slow)

    def _check_headers(self) -> None:
        """Stop the parser if a request's headers are invalid or too large."""
        size = len(self.url) + sum(
            len(name) + len(value) + _HEADER_EXTRA_BYTES for name, value in self.headers
        )
        if size > self.settings.max_header_bytes:
            self._violation = _too_large(self.settings)
        elif len(self.headers) > self.settings.max_headers:
            self._violation = HeadersTooLarge(
                f"The request has more than {self.settings.max_headers} headers."
            )
        elif len(self.pipeline) >= MAX_PIPELINED:
            self._violation = BadRequest(f"More than {MAX_PIPELINED} requests were pipelined.")
        else:
            self._violation = find_fault(self.headers, self.parser)
        if self._violation is not None:
            raise self._violation  # the parser replaces every exception by its own

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Continue with ``rest`` as if the last request had not asked to upgrade to another protocol."""
        if self.cycle.scope["method"] == "CONNECT":  # what follows is not HTTP/1.1
            self._refuse_the_rest()
            return
        self.parser, has_body = continue_after_headers(self)
        if has_body:
            self._in_headers = False
            self.cycle.more_body = True
        if rest:
            self.data_received(rest)

    def _is_busy(self) -> bool:
        """Whether a response is due. The last request's response is the last to be complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _close_idle(self) -> None:
        if not self._is_busy() and not self._has_begun:
            self.transport.close()

    def _close_slow(self) -> None:
        self._drop("slow_headers")
        message = f"The headers were not complete after {self.settings.header_timeout_s:g} s."
        self._refuse(HeadersTimeout(message))

    def _drop(self, reason: str, end: Callable[[], object] = lambda: None) -> None:
        self.metrics.dropped.labels(reason).inc()
        end()

    def _refuse_the_rest(self) -> None:
        """Finish the complete requests, then close."""
        self._is_refusing = True
        self._deadlines.pop("read", None)
        if not self._in_headers and self.pipeline:
            self.pipeline.popleft()  # the last request, whose body is invalid
        if not self._is_busy():
            self.transport.close()

    def _refuse(self, error: HTTPError) -> None:
        """Send the error, or finish the response that is due to an earlier request; then close."""
        is_own = not self._in_headers and not self.pipeline  # the current request has the invalid body
        if self._is_busy() and (not is_own or self.cycle.response_started):
            self._refuse_the_rest()
        else:
            if not isinstance(error, HeadersTimeout):
                self._drop("invalid")
            self._respond(error)

    def _respond(self, error: HTTPError) -> None:
        self._is_refusing = True
        self._deadlines.pop("read", None)
        self.transport.write(render_error(error))
        self.transport.close()


def _too_large(settings: ServerSettings) -> HeadersTooLarge:
    return HeadersTooLarge(f"The request line and headers exceed {settings.max_header_bytes:,} bytes.")
