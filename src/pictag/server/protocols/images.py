"""Reading images from a body (an image, JSON or a form), and the reply for one or several of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pictag.errors import EngineError, InputError, shorten
from pictag.images import Source
from pictag.images.sniff import HEAD_BYTES, recognise
from pictag.server.bodies import decode_image_text, parse_json
from pictag.server.http_errors import BadRequest, describe_error, json_response
from pictag.server.requests import check_image_count, check_names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from starlette.datastructures import Headers
    from starlette.requests import Request
    from starlette.responses import Response

    from pictag.execution import Outcome

_MAX_FIELDS = 16
_FORM_ENCODED = "application/x-www-form-urlencoded"
_LOST_BYTES = re.compile(rb"[\0\r\n]")
_MEMBERS = ("inputs", "parameters", "options")  # options (waiting, caching) only matter on the Hub's servers
_MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesRequest:
    """A parsed body whose ``parameters`` are still to be read."""

    images: tuple[bytes | Source, ...]
    is_list: bool
    parameters: Mapping[str, Any]


def parse_images(body: bytes, *, content_type: str) -> ImagesRequest:
    """The images of a body, and the ``parameters`` if it is JSON."""
    if not body:
        raise BadRequest("The body is empty. Send an image, or JSON with an image in base64 as 'inputs'.")
    if is_json(body, content_type):
        return _parse_json_request(body)
    if _media_type(content_type) == "multipart/form-data":
        raise BadRequest(
            "Forms are accepted at /predictions/{model}. Here, send the image itself as the body "
            "(curl --data-binary @photo.jpg)."
        )
    check_form_encoding(body, content_type)
    return ImagesRequest(images=(body,), is_list=False, parameters={})


def is_json(body: bytes, content_type: str) -> bool:
    """Whether a body is JSON rather than an image. A wrong content type is ignored.

    >>> is_json(b' {"inputs": ""}', "image/png"), is_json(b"GIF89a", "application/json")
    (True, False)
    """
    return body[:64].lstrip()[:1] == b"{" or (
        _media_type(content_type) == "application/json" and recognise(body[:HEAD_BYTES]) is None
    )


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _parse_json_request(body: bytes) -> ImagesRequest:
    value = parse_json(body, max_numbers=_MAX_VALUES)
    if not isinstance(value, dict):
        raise BadRequest("The JSON body is not an object with the member 'inputs'.")
    check_names(value, _MEMBERS, what="member")
    parameters = value.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise BadRequest("'parameters' is not an object.")
    inputs = value.get("inputs")
    if inputs is None:
        raise BadRequest("The JSON body has no 'inputs': an image in base64, or a list of them.")
    texts = inputs if isinstance(inputs, list) else [inputs]
    check_image_count(len(texts))
    images = tuple(read_input(text) for text in texts)
    return ImagesRequest(images=images, is_list=isinstance(inputs, list), parameters=parameters or {})


def read_input(text: object) -> bytes | Source:
    """The image in one of the ``inputs``: base64, a ``data:`` URL, or a URL."""
    if not isinstance(text, str) or not text:
        raise BadRequest("'inputs' is not a string in base64 or a list of such strings.")
    if "://" in text[:16]:
        if not text.lower().startswith(("http://", "https://")):
            raise BadRequest(f"'inputs' is not base64, and URLs such as {shorten(text, 16)} are not fetched.")
        return Source(name=text, kind="url", value=text)
    return decode_image_text(text)


def make_reply(
    request: Request,
    results: Sequence[Outcome | InputError | EngineError],
    describe: Callable[[Outcome], Any],
    *,
    is_list: bool,
) -> Response:
    """The first result, described; with ``is_list`` all of them, with an error for each image that failed.

    Raises the error of a single image.
    """

    def describe_or_raise(result: Outcome | InputError | EngineError) -> Any:
        if isinstance(result, InputError | EngineError):
            raise result
        return describe(result)

    if not is_list:
        return json_response(describe_or_raise(results[0]))
    entries = []
    for result in results:
        try:
            entries.append(describe_or_raise(result))
        except (InputError, EngineError) as error:
            entries.append(describe_error(error, request_id=request.state.request_id))
    return json_response(entries)


def check_form_encoding(body: bytes, content_type: str) -> None:
    """Raise `BadRequest` for what ``curl -d @image.jpg`` sends: a file without its line ends and NUL bytes.

    ``curl --data-binary`` and some clients send images unchanged with the same content type. Every image has
    such bytes.

    >>> check_form_encoding(b"GIF89a\\x01\\x00", "application/x-www-form-urlencoded")
    """
    if content_type.lower().startswith(_FORM_ENCODED) and not _LOST_BYTES.search(body):
        raise BadRequest(
            "The body is a form, or an image that was sent like one: 'curl -d' removes line ends and NUL "
            "bytes. Send the image itself: curl --data-binary @photo.jpg."
        )


async def read_field(body: bytes, headers: Headers, names: tuple[str, ...]) -> bytes:
    """The content of the one field with one of these ``names``; raises `BadRequest`."""

    boundary = parse_options_header(headers.get("content-type"))[1].get(b"boundary", b"")
    if b"--%s--" % boundary not in body:
        raise BadRequest("The form is cut off, or its Content-Type has another boundary.")

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(
        headers, stream(), max_files=_MAX_FIELDS, max_fields=_MAX_FIELDS, max_part_size=len(body)
    )
    parser.spool_max_size = len(body)  # files stay in memory
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"The form is malformed: {error.message}") from error
    try:
        found = [value for name, value in form.multi_items() if name in names]
        if len(found) != 1:
            raise BadRequest(
                f"The form has {len(found)} complete fields named {' or '.join(names)}. Send one image."
            )
        return await found[0].read() if isinstance(found[0], UploadFile) else found[0].encode()
    finally:
        await form.close()
