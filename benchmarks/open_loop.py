"""An open-loop HTTP/1.1 load generator: ``python -m benchmarks.open_loop`` reads a plan from stdin.

Requests are sent on schedule, whether or not earlier ones were answered, and latency counts from the
scheduled time, so that it includes a server's delays. Without a rate it is a closed loop: each connection
sends its next request after the response. Every response is compared with the expected one.
"""

from __future__ import annotations

import heapq
import json
import random
import selectors
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.serve_plan import CONNECTION_REFUSED, LEFT, LOST, REFUSED, TOO_LATE, read_plan
from benchmarks.wire import BrokenAnswer, Wire

if TYPE_CHECKING:
    from benchmarks.serve_plan import Plan, RequestImage

IDLE_S = 10.0  # the server closes idle connections too, so older ones are not used again


class Generator:
    """Sends the requests of one plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._draw = random.Random(plan.seed)
        self._bodies = {one.path: Path(one.path).read_bytes() for one in (*plan.images, *plan.bad)}
        self._selector = selectors.DefaultSelector()
        self._idle: deque[Wire] = deque()
        self._open = 0
        self._waiting: deque[int] = deque()  # requests that are due but have no connection yet
        self._leaving: list[tuple[float, int, Wire]] = []
        self._is_cut_short = False
        self._due_s = 0.0 if plan.rate else float("inf")
        self._asked: list[RequestImage] = []
        self._at_s: list[float] = []
        self._status: list[int | None] = []
        self._latency_s: list[float] = []
        self.wrong: list[str] = []
        self.doubled = self.swapped = 0
        self.largest_difference = 0.0
        self._started_s = 0.0

    def run(self) -> dict[str, Any]:
        """Send all requests, wait for the responses, and return the outcome of each."""
        cpu_s = time.process_time()
        self._started_s = time.perf_counter()
        if self._plan.rate is None:
            for _ in range(self._plan.connections):
                self._plan_request(self._now_s())
        last_s = float("inf")
        while True:
            now_s = self._now_s()
            while self._due_s <= now_s and self._goes_on(self._due_s):
                self._plan_request(self._due_s)
                gap_s = 1 / self._plan.rate  # type: ignore[operator]  # without a rate nothing is ever due
                self._due_s += gap_s if self._plan.is_even else self._draw.expovariate(1 / gap_s)
            self._leave(now_s)
            is_over = not self._goes_on(max(now_s, self._due_s) if self._plan.rate else now_s)
            if is_over:
                last_s = min(last_s, now_s)
                if not self._open - len(self._idle) and not self._waiting:
                    break
                if now_s > last_s + self._plan.patience_s:
                    break
            self._wait(now_s)
        wall_s = self._now_s()
        self._look_for_strays()
        return {
            "at_s": [round(at_s, 5) for at_s in self._at_s],
            "status": [LOST if status is None else status for status in self._status],
            "latency_s": [round(latency_s, 6) for latency_s in self._latency_s],
            "wrong": self.wrong[:10],
            "wrong_count": len(self.wrong),
            "doubled": self.doubled,
            "swapped": self.swapped,
            "largest_difference": self.largest_difference,
            "wall_s": wall_s,
            "cpu_s": time.process_time() - cpu_s,
        }

    def close(self) -> None:
        """Close the remaining connections."""
        for key in list(self._selector.get_map().values()):
            self._drop(key.data)
        self._selector.close()

    def _now_s(self) -> float:
        return time.perf_counter() - self._started_s

    def _goes_on(self, at_s: float) -> bool:
        plan = self._plan
        return (
            not self._is_cut_short
            and at_s < plan.duration_s
            and (plan.count is None or len(self._asked) < plan.count)
        )

    def _plan_request(self, at_s: float) -> None:
        if not self._goes_on(at_s):
            return
        is_bad = bool(self._plan.bad) and self._draw.random() < self._plan.bad_share
        self._asked.append(self._draw.choice(self._plan.bad if is_bad else self._plan.images))
        self._at_s.append(at_s)
        self._status.append(None)
        self._latency_s.append(0.0)
        self._waiting.append(len(self._asked) - 1)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting:
            wire = self._take_wire()
            if wire is None:
                return
            number = self._waiting.popleft()
            wire.ask(number, self._bodies[self._asked[number].path], timeout_ms=self._plan.timeout_ms)
            self._write(wire)
            if self._plan.leave_share and self._draw.random() < self._plan.leave_share:
                leave_s = self._now_s() + self._draw.random() * self._plan.leave_within_s
                heapq.heappush(self._leaving, (leave_s, number, wire))

    def _take_wire(self) -> Wire | None:
        """The connection that has been idle longest, or a new one if the plan allows it."""
        while self._idle:
            wire = self._idle.popleft()
            if self._now_s() - wire.idle_since_s < IDLE_S:
                return wire
            self._drop(wire)
        if self._open >= self._plan.connections:
            return None
        try:
            wire = Wire(self._plan.port)
        except OSError as error:  # refused: the server has stopped; otherwise the waiting requests are lost
            is_closed = isinstance(error, (ConnectionRefusedError, ConnectionResetError))
            self._is_cut_short = True
            while self._waiting:
                self._status[self._waiting.popleft()] = CONNECTION_REFUSED if is_closed else LOST
            return None
        self._open += 1
        self._selector.register(wire.socket, selectors.EVENT_READ, wire)
        return wire

    def _wait(self, now_s: float) -> None:
        next_s = min(self._due_s, self._leaving[0][0] if self._leaving else now_s + 0.1, now_s + 0.1)
        for key, events in self._selector.select(max(0.0, next_s - now_s)):
            if events & selectors.EVENT_WRITE:
                self._write(key.data)
            if events & selectors.EVENT_READ and not key.data.is_closed:
                self._read(key.data)

    def _write(self, wire: Wire) -> None:
        try:
            is_sent = wire.send()
        except OSError:  # the server closed early; its response may still be readable
            wire.is_broken = is_sent = True
        events = selectors.EVENT_READ if is_sent else selectors.EVENT_READ | selectors.EVENT_WRITE
        if events != wire.events:
            wire.events = events
            self._selector.modify(wire.socket, events, wire)

    def _read(self, wire: Wire) -> None:
        try:
            is_open = wire.receive()
            answer = wire.take_answer()
        except (OSError, BrokenAnswer):
            is_open, answer = False, None
        number = wire.number
        if number is None:
            self.doubled += bool(wire.received)
            self._idle.remove(wire)
            self._drop(wire)
            return
        if answer is None:
            if not is_open:
                self._end(number, LOST)
                self._drop(wire)
                self._go_on()
            return
        status, request_id, body, closes = answer
        self._end(number, status)
        self.swapped += request_id != number
        self._check(number, status, body)
        wire.number = None
        self.doubled += bool(wire.received)
        if closes or not is_open or wire.is_unsent or wire.received:
            self._drop(wire)
        else:
            wire.idle_since_s = self._now_s()
            self._idle.append(wire)
        self._go_on()

    def _go_on(self) -> None:
        if self._plan.rate is None:
            self._plan_request(self._now_s())
        else:
            self._send_waiting()

    def _end(self, number: int, status: int) -> None:
        self._status[number] = status
        self._latency_s[number] = self._now_s() - self._at_s[number]

    def _check(self, number: int, status: int, body: bytes) -> None:
        if status in (REFUSED, TOO_LATE):  # the plan decides whether these are faults: `LoadResult.faults`
            return
        wrong, difference = self._asked[number].check(status, body)
        if wrong:
            self.wrong.append(wrong)
        self.largest_difference = max(self.largest_difference, difference)

    def _leave(self, now_s: float) -> None:
        while self._leaving and self._leaving[0][0] <= now_s:
            _, number, wire = heapq.heappop(self._leaving)
            if wire.number == number and self._status[number] is None:
                self._end(number, LEFT)
                self._drop(wire)
                self._send_waiting()

    def _drop(self, wire: Wire) -> None:
        self._selector.unregister(wire.socket)
        wire.close()
        self._open -= 1

    def _look_for_strays(self) -> None:
        """Count extra responses that arrive late on idle connections."""
        time.sleep(0.05)
        for wire in self._idle:
            try:
                wire.receive()
            except OSError:
                continue
            self.doubled += bool(wire.received)


if __name__ == "__main__":
    json.dump(Generator(read_plan(sys.stdin.read())).run(), sys.stdout)
