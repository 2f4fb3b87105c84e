"""Reading a file from a form (multipart/form-data) that is already in memory."""

from __future__ import annotations

from python_multipart.multipart import MultipartParser, parse_options_header

from pictag.server.http_errors import BadRequest

_MAX_FIELDS = 16
_MAX_BOUNDARY_CHARACTERS = 70  # RFC 2046
_CALLBACKS = (
    "on_part_begin", "on_header_begin", "on_header_field", "on_header_value", "on_header_end", "on_part_data",
    "on_part_end", "on_end",
)  # fmt: skip


class _Fields:
    """Callbacks of the parser; ``found`` are the contents of the fields with the given names."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.found: list[bytes] = []
        self.count = 0
        self.is_complete = False
        self._header = self._value = b""
        self._name: str | None = None
        self._data = bytearray()

    def on_part_begin(self) -> None:
        self.count += 1
        if self.count > _MAX_FIELDS:
            raise BadRequest(f"The form has more than {_MAX_FIELDS} fields.")
        self._name, self._data = None, bytearray()

    def on_header_begin(self) -> None:
        self._header = self._value = b""

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            name = parse_options_header(self._value)[1].get(b"name")
            self._name = None if name is None else name.decode("utf-8", "replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name in self.names:
            self._data += data[start:end]

    def on_part_end(self) -> None:
        if self._name in self.names:
            self.found.append(bytes(self._data))

    def on_end(self) -> None:
        self.is_complete = True


def read_field(body: bytes, content_type: str, names: tuple[str, ...]) -> bytes:
    """The content of the one field with one of these ``names``; raises `BadRequest`.

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="data"\\r\\n\\r\\nGIF\\r\\n--x--\\r\\n'
    >>> read_field(body, "multipart/form-data; boundary=x", ("data",))
    b'GIF'
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARACTERS:
        raise BadRequest("The form's Content-Type has no valid boundary.")
    fields = _Fields(names)
    parser = MultipartParser(
        boundary,
        {name: getattr(fields, name) for name in _CALLBACKS},  # type: ignore[arg-type]  # a TypedDict of these
    )
    try:
        parser.write(body)
        parser.finalize()
    except ValueError as error:  # python-multipart's errors are of this kind
        if isinstance(error, BadRequest):
            raise
        raise BadRequest("The form is malformed.") from error
    if not fields.is_complete:
        raise BadRequest("The form is cut off.")
    if len(fields.found) != 1:
        raise BadRequest(
            f"The form has {len(fields.found)} fields named {' or '.join(names)}. Send exactly one image."
        )
    return fields.found[0]
