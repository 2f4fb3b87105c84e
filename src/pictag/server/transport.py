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

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pictag.server.framing import continue_after_headers, find_fault, render_error
from pictag.server.http_errors import BadRequest, HeadersTimeout, HeadersTooLarge, HTTPError, Overloaded
from pictag.server.lingering_close import LingeringTransport
from pictag.server.timer import ReusableTimer

if TYPE_CHECKING:
    from pictag.server.metrics import Metrics
    from pictag.server.settings import ServerSettings

_BUFFER_BYTES = 2**18  # of unread bodies; more is left in the socket
MAX_PIPELINED = 16  # requests sent before the response to the first one
_HEADER_EXTRA_BYTES = 4  # ": " and the line break


def make_protocol(settings: ServerSettings, metrics: Metrics) -> Callable[..., Connection]:
    """The protocol factory for uvicorn."""
    return functools.partial(Connection, settings=settings, metrics=metrics)


class Connection(HttpToolsProtocol):
    """One client's connection.

    A client that closes its sending side counts as gone, since the system can't tell the two apart. If a
    client has pipelined more than fits the buffer, its leaving is noticed only after the current response.
    """

    def __init__(self, *args: Any, settings: ServerSettings, metrics: Metrics, **named: Any) -> None:
        super().__init__(*args, **named)
        self.settings = settings
        self.metrics = metrics
        self._timer = ReusableTimer(self.loop)
        self._write_timer = ReusableTimer(self.loop)
        self._in_headers = True  # or between two requests
        self._has_begun = False  # some bytes of a request have arrived
        self._header_bytes = 0
        self._header_count = 0
        self._stray_bytes = 0  # since the last complete header or piece of a body
        self._violation: HTTPError | None = None
        self._is_refusing = False  # the rest of the input is discarded
        self._is_stopping = False
        self._current: RequestResponseCycle | None = None  # while pipelined requests wait behind it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a new connection unless there are too many."""
        lingering = LingeringTransport(transport, self.loop, max_linger_s=self.settings.body_timeout_s)
        super().connection_made(lingering)  # type: ignore[arg-type]
        self.metrics.connected(len(self.connections))
        if len(self.connections) > self.settings.max_connections:
            self.metrics.dropped("connections")
            if len(self.connections) > 2 * self.settings.max_connections:  # a response needs an open file
                self._is_refusing = True
                self.transport.abort()
            else:
                self._respond(Overloaded(1, "The server has too many connections."))
        else:
            self._timer.set(self.settings.silent_timeout_s, self._close_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Clean up; the application cancels the work for its request."""
        self._timer.release()
        self._write_timer.release()
        super().resume_writing()
        self.pipeline.clear()
        if self._current is not None:  # uvicorn only notifies the last request
            self._current.disconnected = True
            self._current.message_event.set()
        super().connection_lost(exc)
        self.metrics.connected(len(self.connections))

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
            # Complete headers are counted one by one; this is for one that never ends.
            if self._stray_bytes > self.settings.max_header_bytes + len(data):
                self._refuse(_too_large(self.settings))

    def on_message_begin(self) -> None:
        """Start to count a request's headers."""
        super().on_message_begin()
        self._begin_headers()
        self._header_bytes = self._header_count = 0

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        super().on_url(url)
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Read one header. Trailers after the body are counted but not used."""
        self._header_count += 1
        if self._header_count > self.settings.max_headers:
            self._fail(HeadersTooLarge(f"The request has more than {self.settings.max_headers} headers."))
        self._count_header_bytes(len(name) + len(value) + _HEADER_EXTRA_BYTES)
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind the current one."""
        self._stray_bytes = 0
        if (fault := find_fault(self.headers, self.parser)) is not None:
            self._fail(fault)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fail(BadRequest(f"More than {MAX_PIPELINED} requests were pipelined."))
        self._in_headers = self._has_begun = False
        self._timer.cancel()
        before = self.cycle
        super().on_headers_complete()
        if self.pipeline:
            if len(self.pipeline) == 1:
                self._current = before
            if len(self.pipeline) < MAX_PIPELINED and self._count_pipelined_bytes() <= _BUFFER_BYTES:
                self.flow.resume_reading()  # otherwise a client that leaves is not noticed
        if self._is_stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; after the response it is discarded."""
        self._stray_bytes = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if (self._count_pipelined_bytes() if self.pipeline else len(cycle.body)) > _BUFFER_BYTES:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The body is complete; the next bytes belong to another request."""
        self._stray_bytes = 0
        self._in_headers = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Continue with the next request, or close the connection."""
        self.server_state.total_requests += 1
        if self._is_refusing and not self.pipeline:
            self.transport.close()
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._current = cycle
            self._start_asgi_task(cycle, app)
        elif not self._has_begun:  # otherwise the next request's own deadline applies
            self._timer.set(self.settings.keep_alive_s, self.transport.close)

    def pause_writing(self) -> None:
        """The client doesn't read its response: reset the connection unless it continues in time."""
        super().pause_writing()
        self._write_timer.set(self.settings.body_timeout_s, self._reset)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        self._write_timer.cancel()

    def shutdown(self) -> None:
        """Accept no further request except one that is already on its way."""
        self._is_stopping = True
        if self._is_busy():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(min(1.0, self.settings.shutdown_timeout_s / 4), self._close_idle)

    def _begin_headers(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._timer.set(self.settings.header_timeout_s, self._close_slow)

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

    def _count_pipelined_bytes(self) -> int:
        """Bytes of the bodies of pipelined requests."""
        return sum(len(cycle.body) for cycle, _ in self.pipeline)

    def _is_busy(self) -> bool:
        """Whether a response is due. The last request's response is the last to be complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _close_idle(self) -> None:
        if not self._is_busy() and not self._has_begun:
            self.transport.close()

    def _close_silent(self) -> None:
        self.metrics.dropped("silent")
        self.transport.close()

    def _close_slow(self) -> None:
        self.metrics.dropped("slow_headers")
        message = f"The headers were not complete after {self.settings.header_timeout_s:g} s."
        self._refuse(HeadersTimeout(message))

    def _reset(self) -> None:
        self.metrics.dropped("slow_reader")
        self.transport.abort()

    def _count_header_bytes(self, count: int) -> None:
        self._stray_bytes = 0
        self._header_bytes += count
        if self._header_bytes > self.settings.max_header_bytes:
            self._fail(_too_large(self.settings))

    def _fail(self, violation: HTTPError) -> None:
        """Stop the parser, which replaces every exception by its own."""
        self._violation = violation
        raise violation

    def _refuse_the_rest(self) -> None:
        """Finish the complete requests, then close."""
        self._is_refusing = True
        self._timer.cancel()
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
                self.metrics.dropped("invalid")
            self._respond(error)

    def _respond(self, error: HTTPError) -> None:
        self._is_refusing = True
        self._timer.cancel()
        self.transport.write(render_error(error))
        self.transport.close()


def _too_large(settings: ServerSettings) -> HeadersTooLarge:
    return HeadersTooLarge(f"The request line and headers exceed {settings.max_header_bytes:,} bytes.")
