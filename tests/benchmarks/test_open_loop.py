"""The generator sees what a bad server does: a server of a few lines misbehaves on purpose."""

from __future__ import annotations

import contextlib
import json
import math
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.figures import Figure
from benchmarks.open_loop import Generator
from benchmarks.serve_plan import DOOR_CLOSED, LEFT, LOST, DecodedImage, Plan, read_plan, write_plan
from benchmarks.serve_volley import Volley, count_faults, make_volley, quantile_ms

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
    return carry_out(tmp_path, behave, **options)[1]


def judge(tmp_path: Path, behave: Behave, **options: Any) -> tuple[Volley, Figure]:
    volley = make_volley(*carry_out(tmp_path, behave, **options))
    return volley, count_faults("faults", [volley])


def carry_out(tmp_path: Path, behave: Behave, **options: Any) -> tuple[Plan, dict[str, Any]]:
    image = tmp_path / "tiger.jpg"
    image.write_bytes(b"image" * 20_000)
    with serve(behave) as port:
        plan = Plan(
            port=port,
            images=(DecodedImage(path=str(image), scores={"tiger": 0.75}),),
            **{"count": 40, "connections": 4, "patience_s": 0.5, **options},
        )
        generator = Generator(read_plan(write_plan(plan)))
        try:
            return plan, generator.run()
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
def test_another_images_labels_are_counted(tmp_path: Path, body: bytes) -> None:
    found = run(tmp_path, lambda number: [reply(number, body) if number == 7 else reply(number)])
    assert found["wrong_count"] == 1


def test_a_status_that_is_not_expected_is_wrong_and_a_refusal_is_not(tmp_path: Path) -> None:
    statuses = {3: 500, 4: 422, 5: 429, 6: 504}
    found = run(tmp_path, lambda number: [reply(number, status=statuses.get(number, 200))])
    assert found["wrong_count"] == 2


@pytest.mark.parametrize(("score", "wrong"), [(0.7502, 1), (0.750001, 0), (float("nan"), 1)])
def test_a_score_that_differs_is_wrong(tmp_path: Path, score: float, wrong: int) -> None:
    body = json.dumps([{"label": "tiger", "score": score}]).encode()
    volley, figure = judge(tmp_path, lambda number: [reply(number, body if number == 3 else ANSWER)])
    assert volley.faults["wrong"] == wrong
    assert figure.is_reached == (not wrong)
    if not math.isnan(score):
        assert volley.largest_difference == pytest.approx(score - 0.75)


@pytest.mark.parametrize("body", [b"<html>", b"7", b'[{"label": "tiger"}]'])
def test_a_200_without_scores_is_wrong(tmp_path: Path, body: bytes) -> None:
    volley, _ = judge(tmp_path, lambda number: [reply(number, body if number == 3 else ANSWER)])
    assert volley.faults["wrong"] == 1


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


@pytest.mark.parametrize(("status", "name"), [(429, "refused"), (504, "too late")])
def test_a_refusal_is_a_fault_where_it_may_not_be(tmp_path: Path, status: int, name: str) -> None:
    def behave(number: int) -> list[bytes]:
        return [reply(number, status=status if number % 2 else 200)]

    _, figure = judge(tmp_path, behave)
    assert figure.measured == 20
    assert f"20 {name}" in figure.detail
    volley, figure = judge(tmp_path, behave, may_refuse=True)
    assert figure.is_reached
    assert volley.count(status) == 20
    assert name not in figure.detail


def test_latency_is_of_what_was_answered_so(tmp_path: Path) -> None:
    def behave(number: int) -> list[bytes]:
        time.sleep(0.0 if number % 2 else 0.02)
        return [reply(number, status=429 if number % 2 else 200)]

    volley, _ = judge(tmp_path, behave)
    assert quantile_ms([volley, volley], 0.0, 200) >= 20
    assert quantile_ms([volley], 0.5, 429) < 20
    assert math.isnan(quantile_ms([volley], 0.5, 504))


def test_a_door_that_closes_on_the_way_is_a_fault_where_it_may_not_be(tmp_path: Path) -> None:
    """A server that ends after 50 of 5,000 requests has answered all that it accepted."""

    def close_after(count: int, **options: Any) -> Figure:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            plan = Plan(
                port=listener.getsockname()[1], images=(DecodedImage(path=__file__),), count=5000,
                connections=1, **options,
            )  # fmt: skip
            serving = threading.Thread(target=answer_and_close, args=(listener, count))
            serving.start()
            volley = make_volley(plan, Generator(plan).run())
            serving.join()
        assert volley.count(200) == count
        assert volley.door_closed == 1
        return count_faults("faults", [volley])

    figure = close_after(50)
    assert figure.measured == 1 + 5000 - 51
    assert figure.detail.endswith("1 not let in, 4,949 not asked")
    assert close_after(50, may_close=True).is_reached


def answer_and_close(listener: socket.socket, count: int) -> None:
    sock, _ = listener.accept()
    listener.close()
    with sock, sock.makefile("rb") as file:
        for number in range(count):
            while line := file.readline().strip():
                if line.startswith(b"Content-Length"):
                    length = int(line.partition(b":")[2])
            file.read(length)
            answer = reply(number)
            if number == count - 1:
                answer = answer.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            sock.sendall(answer)


@pytest.mark.parametrize("error", [ConnectionRefusedError, ConnectionResetError])
def test_a_door_that_is_closed_ends_the_run(monkeypatch: pytest.MonkeyPatch, error: type[OSError]) -> None:
    volley = run_without_door(monkeypatch, error)
    assert set(volley.status) == {DOOR_CLOSED}
    assert not volley.faults["lost"]
    assert volley.faults["not let in"] == volley.asked


@pytest.mark.parametrize("error", [TimeoutError, OSError])
def test_a_door_that_nobody_comes_to_is_not_a_closed_one(
    monkeypatch: pytest.MonkeyPatch, error: type[OSError]
) -> None:
    volley = run_without_door(monkeypatch, error, may_close=True)
    assert set(volley.status) == {LOST}
    assert volley.faults["lost"] == volley.asked > 0


def run_without_door(monkeypatch: pytest.MonkeyPatch, error: type[OSError], **options: Any) -> Volley:
    def connect(*_: object, **__: object) -> socket.socket:
        raise error

    monkeypatch.setattr(socket, "create_connection", connect)
    plan = Plan(port=1, images=(DecodedImage(path=__file__),), connections=4, **options)
    return make_volley(plan, Generator(plan).run())


def test_nobody_listens_at_a_port_that_was_given_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    generator = Generator(Plan(port=port, images=(DecodedImage(path=__file__),), connections=4))
    assert set(generator.run()["status"]) == {DOOR_CLOSED}
