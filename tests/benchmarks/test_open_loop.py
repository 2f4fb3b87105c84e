"""The generator sees what a bad server does: a server of a few lines misbehaves on purpose."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.open_loop import LEFT, LOST, Generator, Picture, Plan, read_plan, write_plan

ANSWER = json.dumps([{"label": "tiger", "score": 0.75}]).encode()
Behave = Callable[[int], list[bytes]]  # a request's id → what is sent


def reply(number: int, body: bytes = ANSWER, status: int = 200) -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nX-Request-Id: {number}\r\n\r\n"
    return head.encode() + body


@contextlib.contextmanager
def serve(behave: Behave) -> Iterator[int]:
    """Answers each request with what ``behave`` says; an empty list closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        is_over = threading.Event()
        threads: list[threading.Thread] = []

        def talk(sock: socket.socket) -> None:
            received = b""
            with sock, contextlib.suppress(OSError):
                sock.settimeout(10)
                while piece := sock.recv(65_536):
                    received += piece
                    while (end := received.find(b"\r\n\r\n")) >= 0:
                        length = int(re.findall(rb"Content-Length: (\d+)", received)[0])
                        if len(received) < end + 4 + length:
                            break
                        number = int(re.findall(rb"X-Request-Id: (\d+)", received)[0])
                        received = received[end + 4 + length :]
                        pieces = behave(number)
                        if not pieces:
                            return
                        for one in pieces:
                            sock.sendall(one)

        def accept() -> None:
            while not is_over.is_set():
                with contextlib.suppress(TimeoutError):
                    threads.append(threading.Thread(target=talk, args=(listener.accept()[0],)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            is_over.set()
            accepting.join()
            for thread in threads:
                thread.join()


def run(tmp_path: Path, behave: Behave, **options: Any) -> dict[str, Any]:
    picture = tmp_path / "tiger.jpg"
    picture.write_bytes(b"picture" * 20_000)
    with serve(behave) as port:
        plan = Plan(
            port=port,
            pictures=(Picture(path=str(picture), scores={"tiger": 0.75}),),
            **{"count": 40, "connections": 4, "patience_s": 0.5, **options},
        )
        generator = Generator(read_plan(write_plan(plan)))
        try:
            return generator.run()
        finally:
            generator.close()


@pytest.mark.parametrize("rate", [None, 400.0])
def test_a_good_server_has_no_faults(tmp_path: Path, rate: float | None) -> None:
    found = run(tmp_path, lambda number: [reply(number)], rate=rate)
    assert found["status"] == [200] * 40
    assert (found["wrong_count"], found["doubled"], found["swapped"]) == (0, 0, 0)
    assert found["largest_difference"] == 0
    assert all(latency_s > 0 for latency_s in found["latency_s"])


def test_an_answer_that_never_comes_is_lost(tmp_path: Path) -> None:
    found = run(tmp_path, lambda number: [] if number % 10 == 3 else [reply(number)])
    assert found["status"].count(LOST) == 4
    assert found["status"].count(200) == 36


def test_an_answer_that_is_cut_off_is_lost(tmp_path: Path) -> None:
    found = run(tmp_path, lambda number: [reply(number)[:-3]] if number == 3 else [reply(number)])
    assert found["status"].count(LOST) == 1


def test_an_answer_that_comes_twice_is_counted(tmp_path: Path) -> None:
    found = run(tmp_path, lambda number: [reply(number) * (2 if number in (5, 39) else 1)])
    assert found["doubled"] == 2


def test_an_answer_to_another_request_is_counted(tmp_path: Path) -> None:
    found = run(tmp_path, lambda number: [reply(number + (number == 7))])
    assert found["swapped"] == 1


@pytest.mark.parametrize(
    "body", [json.dumps([{"label": "lion", "score": 0.75}]).encode(), b"[]"], ids=["other", "none"]
)
def test_another_pictures_labels_are_counted(tmp_path: Path, body: bytes) -> None:
    found = run(tmp_path, lambda number: [reply(number, body) if number == 7 else reply(number)])
    assert found["wrong_count"] == 1


def test_a_status_that_is_not_expected_is_wrong_and_a_refusal_is_not(tmp_path: Path) -> None:
    statuses = {3: 500, 4: 422, 5: 429, 6: 504}
    found = run(tmp_path, lambda number: [reply(number, status=statuses.get(number, 200))])
    assert found["wrong_count"] == 2


def test_a_score_that_differs_is_told(tmp_path: Path) -> None:
    body = json.dumps([{"label": "tiger", "score": 0.7502}]).encode()
    found = run(tmp_path, lambda number: [reply(number, body if number == 3 else ANSWER)])
    assert found["largest_difference"] == pytest.approx(0.0002)


def test_a_server_that_stands_still_cannot_hide_it(tmp_path: Path) -> None:
    """Requests come while it sleeps, and their latency counts from when they were due."""

    def behave(number: int) -> list[bytes]:
        if number == 5:
            time.sleep(0.3)
        return [reply(number)]

    found = run(tmp_path, behave, rate=100.0, is_even=True, connections=1, patience_s=10)
    late = [latency_s for latency_s in found["latency_s"] if latency_s > 0.1]
    assert len(late) >= 10
    assert found["at_s"] == pytest.approx([number / 100 for number in range(40)], abs=1e-4)


def test_clients_that_leave_are_not_lost(tmp_path: Path) -> None:
    def behave(number: int) -> list[bytes]:
        time.sleep(0.02)
        return [reply(number)]

    found = run(tmp_path, behave, rate=200.0, connections=40, leave_share=0.5, leave_within_s=0.01)
    assert 5 < found["status"].count(LEFT) < 35
    assert found["status"].count(LOST) == 0


def test_a_door_that_is_closed_ends_the_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    generator = Generator(Plan(port=port, pictures=(Picture(path=__file__),), connections=4))
    assert set(generator.run()["status"]) == {-2}
