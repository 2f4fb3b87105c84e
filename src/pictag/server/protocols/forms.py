"""Forms: reading a file from one that is already in memory, and a check for images that curl sent as one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pictag.server.http_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.datastructures import Headers

_MAX_FIELDS = 16
_FORM_ENCODED = "application/x-www-form-urlencoded"
_LOST_BYTES = re.compile(rb"[\0\r\n]")


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
