"""Reading a file from a form (multipart/form-data) that is already in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from pictag.server.http_errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from starlette.datastructures import Headers

_MAX_FIELDS = 16


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
