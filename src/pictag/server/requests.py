"""Reading a request within the server's limits: query, scoring options, deadline and body."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request

from pictag.errors import shorten, suggest
from pictag.options import ScoringOptions, check_count
from pictag.server.bodies import INLINE_BYTES, inflate
from pictag.server.http_errors import BadRequest, BodyTimeout, BodyTooLarge
from pictag.server.settings import MAX_IMAGES, MAX_TOP_K

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from pictag.server.body_budget import BodyBudget
    from pictag.server.settings import ServerSettings

PARAMETERS = ("top_k", "function_to_apply", "min_score")
_MAX_DIGITS = 12


def read_query(request: Request) -> dict[str, str]:
    """The query's fields; raises `BadRequest` for duplicates, of which Starlette would drop all but one."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise BadRequest(f"The query has the field {shorten(repr(name), 60)} twice.")
        found[name] = value
    return found


def read_scoring(
    parameters: Mapping[str, Any], query: Mapping[str, str], *, default_top_k: int
) -> ScoringOptions:
    """The options in a request's JSON ``parameters``, which take precedence over its query.

    Raises `BadRequest` for unknown names, and `OptionError` for invalid values.

    >>> read_scoring({}, {"top_k": "3"}, default_top_k=5).top_k
    3
    """
    check_names(parameters, PARAMETERS, what="parameter")
    check_names(query, PARAMETERS, what="query parameter")
    asked = {name: read_number(name, text) for name, text in query.items()}
    asked.update((name, value) for name, value in parameters.items() if value is not None)
    asked["top_k"] = check_count("top_k", asked.get("top_k", default_top_k), at_most=MAX_TOP_K)
    return ScoringOptions(**asked)


def check_names(given: Mapping[str, Any], known: Sequence[str], *, what: str) -> None:
    """Raise `BadRequest` for a name that isn't known, suggesting the nearest one."""
    for name in given:
        if name not in known:
            hint = suggest(name, known) or f" Known: {', '.join(known)}."
            raise BadRequest(f"There is no {what} {shorten(repr(name))}.{hint}")


def read_number(name: str, text: str) -> Any:
    """A query parameter as a number if it is one; otherwise the text, which the caller rejects."""
    try:
        if (
            name in ("top_k", "max_keywords")
            and text.removeprefix("-").isdecimal()
            and text.isascii()
            and len(text) <= 32
        ):
            return int(text)
        if name == "min_score" and "_" not in text:
            return float(text)
    except ValueError:
        pass
    return text


def parse_count(text: str) -> int | None:
    """A whole number in ASCII digits, not too long; otherwise ``None``. `int` accepts more.

    >>> parse_count("12"), parse_count("+12"), parse_count("1_2")
    (12, None, None)
    """
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else None


def read_deadline(request: Request, settings: ServerSettings, timeout_s: float | None = None) -> float:
    """When a response is due on the monotonic clock, counted from when the body was received.

    ``X-Request-Timeout-Ms`` takes precedence over the protocol's ``timeout_s`` and the server's default; the
    server's maximum applies to all. Raises `BadRequest`.
    """
    text = request.headers.get("x-request-timeout-ms")
    if text is not None:
        milliseconds = parse_count(text)
        if not milliseconds:
            raise BadRequest(
                f"X-Request-Timeout-Ms={shorten(repr(text), 60)} is not a whole number of 1 or more."
            )
        timeout_s = milliseconds / 1000
    if timeout_s is None:
        timeout_s = settings.request_timeout_s
    arrived_s: float = request.state.arrived_s
    return arrived_s + min(timeout_s, settings.max_request_timeout_s)


def read_content_length(request: Request, settings: ServerSettings) -> int | None:
    """The body's size if the client announced one within the limit; the parser accepts only digits."""
    length = request.headers.get("content-length")
    return int(length) if length is not None and int(length) <= settings.max_body_bytes else None


def check_image_count(count: int, *, at_most: int = MAX_IMAGES) -> None:
    """Raise `BadRequest` unless the number of images is valid."""
    if not 1 <= count <= at_most:
        raise BadRequest(f"A request may have 1 to {at_most} images, not {count:,}.")


@asynccontextmanager
async def receive_body(
    request: Request, *, settings: ServerSettings, budget: BodyBudget
) -> AsyncIterator[bytes]:
    """The complete body, decompressed if necessary. The block is cancelled if the client leaves meanwhile.

    The body counts towards the ``budget`` until the block ends. Raises `BodyTooLarge` as soon as more than
    ``max_body_bytes`` are announced, received or decompressed, `BodyTimeout` if the body is not complete
    after ``body_timeout_s``, `BadRequest` if it can't be decompressed, `Overloaded` if the budget is used up,
    and `ClientDisconnect`.
    """
    with budget.hold() as count:
        body = [await _read(request, settings, count)]
        async with _cancelled_if_client_leaves(request):
            yield body.pop()  # without a reference here, the block can free the body


async def _read(request: Request, settings: ServerSettings, count: Callable[[int], None]) -> bytes:
    max_bytes = settings.max_body_bytes
    if "content-length" in request.headers and read_content_length(request, settings) is None:
        raise BodyTooLarge.above(max_bytes)
    received = bytearray()
    try:
        async with asyncio.timeout(settings.body_timeout_s):
            async for piece in request.stream():
                received += piece
                if len(received) > max_bytes:
                    raise BodyTooLarge.above(max_bytes)
                count(len(received))
    except TimeoutError as error:
        raise BodyTimeout(f"The body was not complete after {settings.body_timeout_s:g} s.") from error
    request.state.arrived_s = time.monotonic()
    encoding = request.headers.get("content-encoding", "").strip().lower()
    body = bytes(received)
    if encoding not in ("", "identity"):
        if len(body) <= INLINE_BYTES:
            body = inflate(body, encoding, max_bytes=max_bytes)
        else:
            body = await asyncio.to_thread(inflate, body, encoding, max_bytes=max_bytes)
        count(len(body))
    return body


@asynccontextmanager
async def _cancelled_if_client_leaves(request: Request) -> AsyncIterator[None]:
    """Cancel the block and raise `ClientDisconnect` when the client closes the connection."""
    task = asyncio.current_task()
    assert task is not None

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        task.cancel()

    watcher = asyncio.create_task(watch())
    try:
        yield
    except asyncio.CancelledError:
        if watcher.done():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()
