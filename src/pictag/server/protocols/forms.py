"""The file in a form (multipart/form-data) whose body has been read already."""

from __future__ import annotations

from python_multipart.multipart import MultipartParser, parse_options_header

from pictag.server.refusals import BadRequest

_MAX_FIELDS = 16
_MAX_BOUNDARY_CHARACTERS = 70  # RFC 2046


class _Fields:
    """Gathers the fields while the parser calls."""

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
    """The content of the one field that has one of these ``names``; raises `BadRequest`.

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="data"\\r\\n\\r\\nGIF\\r\\n--x--\\r\\n'
    >>> read_field(body, "multipart/form-data; boundary=x", ("data",))
    b'GIF'
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not 1 <= len(boundary) <= _MAX_BOUNDARY_CHARACTERS:
        raise BadRequest("The Content-Type of the form states no boundary.")
    fields = _Fields(names)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": fields.on_part_begin,
            "on_header_begin": fields.on_header_begin,
            "on_header_field": fields.on_header_field,
            "on_header_value": fields.on_header_value,
            "on_header_end": fields.on_header_end,
            "on_part_data": fields.on_part_data,
            "on_part_end": fields.on_part_end,
            "on_end": fields.on_end,
        },
    )
    try:
        parser.write(body)
        parser.finalize()
    except ValueError as error:  # python-multipart's errors are of this kind
        if isinstance(error, BadRequest):
            raise
        raise BadRequest("The form is malformed.") from error
    if not fields.is_complete:
        raise BadRequest("The form was cut off.")
    if len(fields.found) != 1:
        raise BadRequest(
            f"The form has {len(fields.found)} fields {' or '.join(names)}; send one image in it."
        )
    return fields.found[0]
