"""The memory of all bodies together is limited."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from liveserver import Live, ask, connect, read_answer, run_server, wait_until
from pictag.server.body_budget import FREE_BYTES
from recording import encode_image

IMAGE = encode_image((255, 0, 0))
LARGE = 4 * FREE_BYTES


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with run_server(models=("embedded",), max_queued_bytes=2 * LARGE, log_requests=False) as live:
        yield live


def head(size: int) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size


def test_unfinished_bodies_share_one_limit_and_leave_room_for_small_ones(live: Live) -> None:
    budget = live.services.body_budget
    with connect(live.port) as one, connect(live.port) as two, connect(live.port) as three:
        for sock in (one, two):
            sock.sendall(head(LARGE + 1) + bytes(LARGE))
        wait_until(lambda: budget.held_bytes == 2 * (LARGE - FREE_BYTES))
        three.sendall(head(4 * LARGE) + bytes(4 * LARGE - 1))
        status, answer, said = read_answer(three)
        assert (status, said["type"]) == (429, "overloaded")
        assert b"retry-after: 5" in answer.lower()
        # Its body is discarded, and the next request on this connection is read.
        three.sendall(b"x" + head(len(IMAGE)) + IMAGE)
        assert read_answer(three)[0] == 200
        assert ask(live.port, "/", method="POST", body=IMAGE)[0] == 200
    wait_until(lambda: budget.held_bytes == 0)
    assert b'pictag_refused_total{reason="uploads"} 1.0' in ask(live.port, "/metrics")[1]


def test_decompressed_bytes_count_and_are_released(live: Live) -> None:
    sent = gzip.compress(bytes(8 * LARGE))
    assert len(sent) < FREE_BYTES
    budget = live.services.body_budget
    with connect(live.port) as sock:
        sock.sendall(head(LARGE + 1) + bytes(LARGE))
        wait_until(lambda: budget.held_bytes > 0)
        assert ask(live.port, "/", method="POST", body=sent, Content_Encoding="gzip")[0] == 429
    wait_until(lambda: budget.held_bytes == 0)
    assert ask(live.port, "/", method="POST", body=sent, Content_Encoding="gzip")[0] == 415
    wait_until(lambda: budget.held_bytes == 0)
