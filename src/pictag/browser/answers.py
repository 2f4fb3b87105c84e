"""Reading the page's requests, and answering them: JSON, images and errors."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from pictag.browser.explaining import ExplanationBusy
from pictag.browser.shown_images import OutsideFolders
from pictag.errors import (
    ImageNotFound,
    InputError,
    LibraryLocked,
    ModelError,
    OptionError,
    PictagError,
    QueryError,
    shorten,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

_MOST_ID: Final = 2**53  # numbers in JavaScript are exact up to here
_MAX_BODY_BYTES: Final = 2**20
_FOREVER: Final = "private, max-age=31536000, immutable"  # the address has the pixels' hash
_log = logging.getLogger("pictag.browser")
_STATUSES: Final[tuple[tuple[type[PictagError], int], ...]] = (
    (ImageNotFound, 404),
    (OutsideFolders, 403),
    (ExplanationBusy, 429),
    (LibraryLocked, 503),
    (ModelError, 503),
    (OptionError, 400),
    (InputError, 422),
)


async def receive(handle: Callable[[dict[str, Any]], Any], request: Request) -> Response:
    """Call a handler with the request's JSON object in a thread, and answer with what it returns."""
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > _MAX_BODY_BYTES:
            return answer_json({"message": "The request is too large."}, status=413)
    try:
        body = json.loads(received or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return answer_json({"message": "The request is not a JSON object."}, status=400)
    return answer_json(await run_in_threadpool(handle, body))


def is_fresh(request: Request) -> bool:
    """Whether the newest state is asked for, also while another program writes."""
    return request.query_params.get("fresh") == "1"


def read_id(request: Request) -> int:
    """The number of a photo in the path. Raises `ImageNotFound`."""
    number: int = request.path_params["id"]
    if number >= _MOST_ID:
        raise ImageNotFound("The library has no photo of this number.")
    return number


def read_ids(body: dict[str, Any]) -> list[int]:
    """The numbers of photos, each once. Raises `OptionError`."""
    ids = body.get("photos")
    if not isinstance(ids, list) or not ids or not all(type(i) is int and 0 < i < _MOST_ID for i in ids):
        raise OptionError("photos must be a list of numbers.")
    return list(dict.fromkeys(ids))


def read_text(body: Mapping[str, Any], name: str) -> str:
    """A text that isn't blank. Raises `OptionError`."""
    text = body.get(name)
    if not isinstance(text, str) or not text.strip():
        raise OptionError(f"{name} must be a word.")
    return text


def answer_json(value: Any, *, status: int = 200) -> Response:
    """A value as JSON."""
    # Not Starlette's JSONResponse: its UTF-8 can't hold the lone surrogates that a word may contain.
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Response(
        text, status_code=status, media_type="application/json", headers={"Cache-Control": "no-store"}
    )


def answer_jpeg(content: bytes) -> Response:
    """An image that the browser may keep."""
    return Response(content, media_type="image/jpeg", headers={"Cache-Control": _FOREVER})


def answer_error(_: Request, error: Exception) -> Response:
    """An error of pictag: its message, and for a query its place."""
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    body: dict[str, Any] = {"message": str(error)}
    if isinstance(error, QueryError):
        body |= {"start": error.start, "end": error.end}
    return answer_json(body, status=status)


def answer_status(_: Request, error: Exception) -> Response:
    """An error of Starlette, such as an unknown path."""
    assert isinstance(error, HTTPException)
    return answer_json({"message": error.detail}, status=error.status_code)


def answer_bug(_: Request, error: Exception) -> Response:
    """Any other error; the terminal has its traceback."""
    _log.error("internal error, please report it: %s", shorten(error), exc_info=error)
    return answer_json(
        {"message": "Something went wrong inside pictag. The terminal has the details."}, status=500
    )
