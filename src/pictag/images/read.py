"""Source → DecodedImage: the one place where images are read."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote_to_bytes

from pictag.errors import (
    CorruptImage,
    ImageNotFound,
    ImageTooLarge,
    ImageUnreadable,
    InputError,
    NotAnImage,
    UnsupportedInput,
    shorten,
)
from pictag.images.array import array_to_pil_image
from pictag.images.decode import DecodedImage, TargetSize, check_size, decode, decode_bytes, decode_pil_image
from pictag.images.limits import FetchLimits, ImageLimits
from pictag.images.source import Source, decode_base64
from pictag.images.turns import take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Larger files are decoded from the open file: an archive of many pages need not fit into memory. Smaller
# ones are read at once, so that a file that changes meanwhile can do no harm.
_READ_AT_ONCE_BYTES = 256 * 2**20
_STREAM_PART_BYTES = 2**20
_IMAGE_LIMITS = ImageLimits()
_FETCH_LIMITS = FetchLimits()


def read_image(
    source: Source,
    *,
    limits: ImageLimits = _IMAGE_LIMITS,
    fetch: FetchLimits = _FETCH_LIMITS,
    needed: TargetSize | None = None,
) -> DecodedImage:
    """Read and decode one image.

    ``needed`` gives, for an image's (width, height), the size at which it is used: large JPEGs are then
    scaled down while they are decoded, to twice that size at least. Without it they are decoded in full.

    Raises an `InputError`: `ImageNotFound`, `ImageUnreadable`, `FetchFailed` and its kinds for reading;
    `NotAnImage`, `FormatRefused`, `CorruptImage` and `ImageTooLarge` for decoding.

    >>> from PIL import Image
    >>> from pictag.images import make_source
    >>> read_image(make_source(Image.new("CMYK", (4, 3)))).rgb
    <PIL.Image.Image image mode=RGB size=4x3 ...>
    """
    source = read_ahead(source, limits=limits, fetch=fetch)
    name, value = source.name, source.value
    match source.kind:
        case "file":
            with _open_file(value, name=name, limits=limits) as file:
                return decode(file, name=name, limits=limits, needed=needed)
        case "image":
            with take_turns(value):
                return decode_pil_image(value, name=name, limits=limits)
        case "array":
            return _read_array(value, name=name, limits=limits)
        case "bytes":
            data = bytes(value)
        case "stream":
            with take_turns(value):
                data = _read_stream(value, name=name, limits=limits)
        case "data":
            data = _read_data_url(value)
        case "base64":
            data = _read_base64(value, name=name)
        case "url":
            raise AssertionError("read_ahead has read it")
    _check_bytes(len(data), name=name, limits=limits)
    return decode_bytes(data, name=name, limits=limits, needed=needed)


def read_ahead(
    source: Source, *, limits: ImageLimits = _IMAGE_LIMITS, fetch: FetchLimits = _FETCH_LIMITS
) -> Source:
    """The source with its bytes in memory, where they come from a file or a URL; others stay as they are.

    It waits for disks and servers, while decoding waits for nothing but a core. Raises what `read_image`
    raises for reading.
    """
    if source.kind == "url":
        # Half of a classification of local files would be spent on importing an HTTP client.
        from pictag.images.fetch import fetch_bytes

        return Source(name=source.name, kind="bytes", value=fetch_bytes(source.value, limits=fetch))
    if source.kind == "file":
        with _open_file(source.value, name=source.name, limits=limits) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= _READ_AT_ONCE_BYTES:
                return Source(name=source.name, kind="bytes", value=file.read(size))
    return source


def prefetch(source: Source) -> None:
    """Have the system begin to read a file, where it can, while other images are worked on."""
    if source.kind != "file" or not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError, ValueError):  # whoever reads it says what is wrong
        if stat.S_ISREG(os.stat(source.value).st_mode):  # noqa: PTH116  (pathlib refuses names that the system takes)
            handle = _open_without_waiting(source.value, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(handle, 0, _READ_AT_ONCE_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(handle)


def _check_bytes(count: int, *, name: str, limits: ImageLimits) -> None:
    if limits.max_bytes is not None and count > limits.max_bytes:
        raise ImageTooLarge(f"{shorten(name)}: more than {limits.max_bytes:,} bytes, which is the limit.")


def _read_array(array: Any, *, name: str, limits: ImageLimits) -> DecodedImage:
    check_size((array.shape[1], array.shape[0]), name=name, limits=limits)
    return decode_pil_image(array_to_pil_image(array, name=name), name=name, limits=limits)


def _open_without_waiting(path: str, flags: int) -> int:
    # A pipe that nobody writes to would block open() for ever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextlib.contextmanager
def _open_file(path: str, *, name: str, limits: ImageLimits) -> Iterator[BinaryIO]:
    """The open file; what goes wrong while it is read is an error of ours too."""
    shown = shorten(name)
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  (pathlib refuses names that the system takes)
        if stat.S_ISDIR(mode):
            raise ImageUnreadable(
                f"{shown} is a folder, not an image. Folders are taken by stream() and by `pictag classify`."
            )
        if not stat.S_ISREG(mode):
            raise ImageUnreadable(
                f"{shown} is no regular file (but a pipe, socket or device); it is not read."
            )
        with open(path, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageUnreadable(f"{shown} is no regular file any more; it is not read.")
            _check_bytes(status.st_size, name=name, limits=limits)
            yield file
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFound(f"{shown}: there is no such file.") from error
    except OSError as error:
        raise ImageUnreadable(f"{shown} could not be read: {error.strerror or error}.") from error
    except ValueError as error:  # NUL, or characters that the file system cannot encode
        raise ImageNotFound(f"{shown}: no file can have this name.") from error


def _read_stream(stream: BinaryIO, *, name: str, limits: ImageLimits) -> bytes:
    """All that is left in the stream; it stays open."""
    parts = io.BytesIO()
    try:
        while part := stream.read(_STREAM_PART_BYTES):
            if isinstance(part, str):
                raise UnsupportedInput("The file object gives text; open the image in binary mode.")
            parts.write(part)
            _check_bytes(parts.tell(), name=name, limits=limits)
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, (ImageTooLarge, UnsupportedInput)):
            raise
        raise ImageUnreadable(f"{shorten(name)} could not be read: {shorten(error)}.") from error
    return parts.getvalue()


def _read_data_url(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise NotAnImage("The data: URL has no comma, and so no data: data:image/png;base64,… is its form.")
    raw = unquote_to_bytes(body) if "%" in body else None
    if not head.lower().rstrip().endswith(";base64"):
        return raw if raw is not None else body.encode("utf-8", "surrogateescape")
    return _read_base64(body if raw is None else raw.decode("latin-1"), name="<data>")


def _read_base64(text: str, *, name: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as error:
        raise CorruptImage(f"{name}: {error}. The text was cut off or altered.") from error
