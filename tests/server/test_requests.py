"""Reading requests within limits on size and time, and their scoring options."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request

from pictag.errors import OptionError
from pictag.options import ScoringOptions
from pictag.server.body_budget import BodyBudget
from pictag.server.http_errors import BadRequest, BodyTimeout, BodyTooLarge
from pictag.server.requests import read_scoring, receive_body
from pictag.server.settings import ServerSettings


def read(
    *parts: bytes | None,
    announced: str | None = None,
    encoding: str | None = None,
    pause_s: float = 0,
    timeout_s: float = 5,
) -> tuple[bytes, int]:
    """The body that arrives in these parts (``None``: the client leaves), and how many parts were read."""
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if asked == len(parts):
            await asyncio.sleep(60)
        await asyncio.sleep(pause_s)
        asked += 1
        part = parts[asked - 1]
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": asked < len(parts)}

    given = {"content-length": announced, "content-encoding": encoding}
    headers = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
    settings = ServerSettings(max_body_bytes=100, body_timeout_s=timeout_s)

    async def main() -> bytes:
        request = Request({"type": "http", "headers": headers}, receive)
        async with receive_body(request, settings=settings, budget=BodyBudget(1000)) as body:
            return body

    return asyncio.run(main()), asked


def test_a_body_may_arrive_in_any_number_of_parts() -> None:
    assert read(b"one") == (b"one", 1)
    assert read(b"", b"one", b"", b"two", b"") == (b"onetwo", 5)
    assert read(b"x" * 100, announced="100")[0] == b"x" * 100


@pytest.mark.parametrize("announced", ["101", "10000000000"])
def test_a_body_whose_length_is_above_the_limit_is_rejected(announced: str) -> None:
    with pytest.raises(BodyTooLarge, match="limit of 100 bytes"):
        read(b"x", announced=announced)


def test_an_endless_body_is_rejected_when_it_exceeds_the_limit() -> None:
    with pytest.raises(BodyTooLarge):
        read(*[b"x" * 10] * 1000)


def test_a_slow_body_is_rejected_after_its_time_limit() -> None:
    with pytest.raises(BodyTimeout, match=r"after 0\.1 s"):
        read(*[b"x"] * 50, pause_s=0.03, timeout_s=0.1)  # the limit is for the whole body
    with pytest.raises(BodyTimeout):
        read(b"x", pause_s=2, timeout_s=0.05)


@pytest.mark.parametrize("parts", [(None,), (b"x", None), (b"x", b"x", None)])
def test_a_client_that_leaves_is_noticed(parts: tuple[bytes | None, ...]) -> None:
    with pytest.raises(ClientDisconnect):
        read(*parts)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("gzip", gzip.compress(b"payload", mtime=0)),
        ("GZIP", gzip.compress(b"pay", mtime=0) + gzip.compress(b"load", mtime=0)),
        ("x-gzip", gzip.compress(b"payload", mtime=0)),
        ("deflate", zlib.compress(b"payload")),
        ("deflate", zlib.compress(b"payload")[2:-4]),
        ("identity", b"payload"),
        ("", b"payload"),
    ],
)
def test_a_compressed_body_is_decompressed(encoding: str, packed: bytes) -> None:
    assert read(packed, encoding=encoding)[0] == b"payload"


@pytest.mark.parametrize(
    ("encoding", "packed", "message"),
    [
        ("gzip", gzip.compress(b"payload", mtime=0)[:-1], "cut off"),
        ("gzip", gzip.compress(b"payload" * 99, mtime=0)[:20], "cut off"),
        ("deflate", b"", None),
        ("gzip", b"no gzip", "not valid gzip"),
        ("gzip", gzip.compress(b"payload", mtime=0) + b"tail", "not valid gzip"),
        ("br", b"x", "Content-Encoding 'br'"),
        ("gzip, gzip", b"x", "Content-Encoding"),
    ],
)
def test_a_body_that_cannot_be_decompressed_is_a_bad_request(
    encoding: str, packed: bytes, message: str | None
) -> None:
    if message is None:
        assert read(packed, encoding=encoding)[0] == b""
        return
    with pytest.raises(BadRequest, match=message):
        read(packed, encoding=encoding)


def test_parameters_take_precedence_over_the_query_and_the_query_over_the_default() -> None:
    def top_k(parameters: dict[str, Any], query: dict[str, str]) -> int | None:
        return read_scoring(parameters, query, default_top_k=5).top_k

    assert top_k({"top_k": 2}, {"top_k": "3"}) == 2
    assert top_k({"top_k": None}, {"top_k": "3"}) == 3
    assert top_k({}, {}) == 5


def test_all_parameters_are_read() -> None:
    asked = {"top_k": 1, "function_to_apply": "sigmoid", "min_score": 0.25}
    wanted = ScoringOptions(top_k=1, function_to_apply="sigmoid", min_score=0.25)
    assert read_scoring(asked, {}, default_top_k=5) == wanted
    assert read_scoring({}, {name: str(value) for name, value in asked.items()}, default_top_k=5) == wanted


@pytest.mark.parametrize("top_k", [-1, 0, 2**63, "5", True, 2.0, [], {}, 1e300])
def test_an_invalid_top_k_is_rejected(top_k: object) -> None:
    with pytest.raises((BadRequest, OptionError), match="top_k"):
        read_scoring({"top_k": top_k}, {}, default_top_k=5)


@pytest.mark.parametrize("top_k", ["-1", "0", str(2**63), "five", "", "1.5", "1_0", "٣", "9" * 5000, "--1"])
def test_an_invalid_top_k_in_the_query_is_rejected(top_k: str) -> None:
    with pytest.raises((BadRequest, OptionError), match="top_k"):
        read_scoring({}, {"top_k": top_k}, default_top_k=5)


@pytest.mark.parametrize("value", ["nan", "inf", "half", "", "1_0", "9" * 5000])
def test_an_invalid_min_score_is_rejected(value: str) -> None:
    with pytest.raises((BadRequest, OptionError), match="min_score"):
        read_scoring({}, {"min_score": value}, default_top_k=5)


@pytest.mark.parametrize("function", ["Soft max", "", 3, [], "x" * 10_000])
def test_an_unknown_function_is_rejected(function: object) -> None:
    with pytest.raises(OptionError, match="softmax, sigmoid, none") as caught:
        read_scoring({"function_to_apply": function}, {}, default_top_k=5)
    assert len(str(caught.value)) < 400


def test_an_unknown_parameter_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(BadRequest, match=r"'topk'\. Did you mean 'top_k'"):
        read_scoring({"topk": 3}, {}, default_top_k=5)
    with pytest.raises(BadRequest, match=r"query parameter 'k'\. Known: top_k, function_to_apply"):
        read_scoring({}, {"k": "3"}, default_top_k=5)
