"""One connection: uvicorn's HTTP/1.1, with the deadlines and limits that it has not.

What is dropped, and what the client sees:

| | |
|---|---|
| a new connection that sends nothing | closed |
| headers that are not complete in time | 408 |
| a request line and headers above the limits | 431 |
| what is no HTTP/1.1, or could be read in two ways | 400 |
| more connections than allowed | 429; reset where they are twice as many |
| an answer that the client does not read | reset |

An answer that was begun is finished before its connection is closed.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from pictag.server.alarm import Alarm
from pictag.server.framing import find_fault, read_on, render_refusal
from pictag.server.lingering import LingeringTransport
from pictag.server.refusals import BadRequest, HeadersTooLarge, HeadersTooSlow, Overloaded, Refusal

if TYPE_CHECKING:
    from pictag.server.limits import Limits
    from pictag.server.metrics import Metrics

_HELD_BYTES = 2**18  # of a body that nobody has read: as much as comes at once
MAX_PIPELINED = 16  # requests that were sent before the answer to the first one
_HEADER_EXTRA_BYTES = 4  # ": " and the end of the line


def make_protocol(limits: Limits, metrics: Metrics) -> Callable[..., Connection]:
    """What uvicorn makes its connections with."""
    return functools.partial(Connection, limits=limits, metrics=metrics)


class Connection(HttpToolsProtocol):
    """One client's connection. Of uvicorn's class it uses what `tests/server/test_transport.py` names.

    A client that sends no more counts as one that has left: the system does not tell them apart. One that has
    sent more ahead than is held is not noticed to have left until its turn comes.
    """

    def __init__(self, *args: Any, limits: Limits, metrics: Metrics, **named: Any) -> None:
        super().__init__(*args, **named)
        self.limits = limits
        self.metrics = metrics
        self._alarm = Alarm(self.loop)
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_headers = True  # or between two requests
        self._has_begun = False  # something of a request has come
        self._header_bytes = 0
        self._header_count = 0
        self._stray_bytes = 0  # of what is neither body nor a whole header
        self._violation: Refusal | None = None
        self._is_refusing = False  # nothing more is read
        self._is_stopping = False
        self._current: RequestResponseCycle | None = None  # while others wait behind it

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection, unless there are too many."""
        lingering = LingeringTransport(transport, self.loop, longest_s=self.limits.write_timeout_s)
        super().connection_made(lingering)  # type: ignore[arg-type]
        self.metrics.connected(len(self.connections))
        if len(self.connections) > self.limits.max_connections:
            self.metrics.dropped("connections")
            if len(self.connections) > 2 * self.limits.max_connections:  # to answer takes a file too
                self._is_refusing = True
                self.transport.abort()
            else:
                self._answer(Overloaded(1, "The server has more connections than it takes."))
        else:
            self._alarm.set(self.limits.silent_timeout_s, self._close_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it; work for its request is cancelled by the application."""
        self._alarm.close()
        self.resume_writing()
        self.pipeline.clear()
        if self._current is not None:  # uvicorn tells the last request alone
            self._current.disconnected = True
            self._current.message_event.set()
        super().connection_lost(exc)
        self.metrics.connected(len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Read what has come, within the limits."""
        if self._is_refusing or self.transport.is_closing():
            self.transport.hear(len(data))  # type: ignore[attr-defined]  # it is a LingeringTransport
            return
        if self._in_headers:
            self._begin_headers()
        self._stray_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            self._ignore_upgrade(data[asked.args[0] :])
        except httptools.HttpParserError:
            self._refuse(self._violation or BadRequest("The request is not valid HTTP/1.1."))
        else:
            # Whole headers are counted one by one; this is for one that does not end.
            if self._stray_bytes > self.limits.max_header_bytes + len(data):
                self._refuse(_too_large(self.limits))

    def on_message_begin(self) -> None:
        """Begin to count a request's headers."""
        super().on_message_begin()
        self._begin_headers()
        self._header_bytes = self._header_count = 0

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        super().on_url(url)
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header. Those that come after the body are counted, and not believed."""
        self._header_count += 1
        if self._header_count > self.limits.max_headers:
            self._fail(HeadersTooLarge(f"The request has more than {self.limits.max_headers} headers."))
        self._count_header_bytes(len(name) + len(value) + _HEADER_EXTRA_BYTES)
        if self._in_headers:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer a request, or queue it behind the one that is answered now."""
        self._stray_bytes = 0
        if (fault := find_fault(self.headers, self.parser)) is not None:
            self._fail(fault)
        if len(self.pipeline) >= MAX_PIPELINED:
            self._fail(BadRequest(f"More than {MAX_PIPELINED} requests were sent ahead."))
        self._in_headers = self._has_begun = False
        self._alarm.lift()
        before = self.cycle
        super().on_headers_complete()
        if self.pipeline:
            if len(self.pipeline) == 1:
                self._current = before
            if len(self.pipeline) < MAX_PIPELINED and self._count_waiting() <= _HELD_BYTES:
                self.flow.resume_reading()  # who does not read does not notice that the client has left
        if self._is_stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body on; after the answer it is thrown away."""
        self._stray_bytes = 0
        cycle = self.cycle
        if not cycle.response_complete:
            cycle.body += body
            if (self._count_waiting() if self.pipeline else len(cycle.body)) > _HELD_BYTES:
                self.flow.pause_reading()
            cycle.message_event.set()

    def on_message_complete(self) -> None:
        """The body has come: the next bytes are another request's."""
        self._stray_bytes = 0
        self._in_headers = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, or close where there shall be none."""
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
        elif not self._has_begun:  # or the next request is on its way: its own limit counts
            self._alarm.set(self.limits.keep_alive_s, self.transport.close)

    def pause_writing(self) -> None:
        """The client does not read its answer: give it a time to go on."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.limits.write_timeout_s, self._reset)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def shutdown(self) -> None:
        """Take no further request, but for one that is on its way: clients do not expect a close then."""
        self._is_stopping = True
        if self._is_busy():
            self.cycle.keep_alive = False
        else:
            self.loop.call_later(self.limits.stop_linger_s, self._close_idle)

    def _begin_headers(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._alarm.set(self.limits.header_timeout_s, self._close_slow)

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Go on with ``rest`` as if the last request had not asked for another protocol."""
        if self.cycle.scope["method"] == "CONNECT":  # what follows is not HTTP/1.1
            self._refuse_the_rest()
            return
        self.parser, has_body = read_on(self)
        if has_body:
            self._in_headers = False
            self.cycle.more_body = True
        if rest:
            self.data_received(rest)

    def _count_waiting(self) -> int:
        """Bytes of the bodies that were sent ahead."""
        return sum(len(cycle.body) for cycle, _ in self.pipeline)

    def _is_busy(self) -> bool:
        """Whether an answer is due. The last request's is the last to be complete."""
        return self.cycle is not None and not self.cycle.response_complete

    def _close_idle(self) -> None:
        if not self._is_busy() and not self._has_begun:
            self.transport.close()

    def _close_silent(self) -> None:
        self.metrics.dropped("silent")
        self.transport.close()

    def _close_slow(self) -> None:
        self.metrics.dropped("slow_headers")
        why = f"The headers were not complete after {self.limits.header_timeout_s:g} s."
        self._refuse(HeadersTooSlow(why))

    def _reset(self) -> None:
        self.metrics.dropped("slow_reader")
        self.transport.abort()

    def _count_header_bytes(self, count: int) -> None:
        self._stray_bytes = 0
        self._header_bytes += count
        if self._header_bytes > self.limits.max_header_bytes:
            self._fail(_too_large(self.limits))

    def _fail(self, violation: Refusal) -> None:
        """Leave the parser, which passes no exception on as it is."""
        self._violation = violation
        raise violation

    def _refuse_the_rest(self) -> None:
        """Finish what has come as a whole, and then close."""
        self._is_refusing = True
        self._alarm.lift()
        if not self._in_headers and self.pipeline:
            self.pipeline.popleft()  # the last one, whose body is broken
        if not self._is_busy():
            self.transport.close()

    def _refuse(self, why: Refusal) -> None:
        """Say why, unless an answer to an earlier request is due, which is finished instead; then close."""
        is_own = not self._in_headers and not self.pipeline  # the request whose body is broken
        if self._is_busy() and (not is_own or self.cycle.response_started):
            self._refuse_the_rest()
        else:
            if not isinstance(why, HeadersTooSlow):
                self.metrics.dropped("invalid")
            self._answer(why)

    def _answer(self, why: Refusal) -> None:
        self._is_refusing = True
        self._alarm.lift()
        self.transport.write(render_refusal(why))
        self.transport.close()


def _too_large(limits: Limits) -> HeadersTooLarge:
    return HeadersTooLarge(f"The request line and headers have more than {limits.max_header_bytes:,} bytes.")
