"""Source → DecodedImage: reads files, URLs, streams and values, then decodes them."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
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

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

# Larger files are decoded from disk, so that an archive of many pages needn't fit into memory. Smaller files
# are read in one go, so that changing them meanwhile has no effect.
_READ_AT_ONCE_BYTES = 256 * 2**20
_STREAM_PART_BYTES = 2**20
_IMAGE_LIMITS = ImageLimits()
_FETCH_LIMITS = FetchLimits()
# Several locks, so that threads with different objects seldom wait for each other. 61 is prime: addresses
# are multiples of 16.
_LOCKS = tuple(threading.RLock() for _ in range(61))


def lock_for(shared: object) -> contextlib.AbstractContextManager[object]:
    """The lock to hold while reading an object that the caller may have given to other threads too.

    Pillow decodes an opened image on first use. Two threads that do so at once get parts of each other's
    pixels.
    """
    return _LOCKS[id(shared) % len(_LOCKS)]


def read_image(
    source: Source,
    *,
    limits: ImageLimits = _IMAGE_LIMITS,
    fetch: FetchLimits = _FETCH_LIMITS,
    needed: TargetSize | None = None,
) -> DecodedImage:
    """Read and decode one image.

    ``needed`` returns, for an image's (width, height), the size it is resized to. Large JPEGs are then
    scaled down while they are decoded, to at least twice that size. Without it they are decoded in full.

    Raises an `InputError`: `ImageNotFound`, `ImageUnreadable` or `FetchFailed` (or a subclass) for reading;
    `NotAnImage`, `FormatRefused`, `CorruptImage` or `ImageTooLarge` for decoding.

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
            with lock_for(value):
                return decode_pil_image(value, name=name, limits=limits)
        case "array":
            return _read_array(value, name=name, limits=limits)
        case "bytes":
            data = bytes(value)
        case "stream":
            with lock_for(value):
                data = _read_stream(value, name=name, limits=limits)
        case "data":
            data = _read_data_url(value)
        case "base64":
            data = _read_base64(value, name=name)
        case "url":
            raise AssertionError("read_ahead reads URLs")
    _check_bytes(len(data), name=name, limits=limits)
    return decode_bytes(data, name=name, limits=limits, needed=needed)


def read_ahead(
    source: Source, *, limits: ImageLimits = _IMAGE_LIMITS, fetch: FetchLimits = _FETCH_LIMITS
) -> Source:
    """Read a file or URL into memory. Other sources are returned unchanged.

    This is the part that waits for disks and servers; decoding only needs a CPU. Raises what `read_image`
    raises for reading.
    """
    if source.kind == "url":
        # Imported here: it would take half the time of a command that classifies local files.
        from pictag.images.fetch import fetch_bytes

        return Source(name=source.name, kind="bytes", value=fetch_bytes(source.value, limits=fetch))
    if source.kind == "file":
        with _open_file(source.value, name=source.name, limits=limits) as file:
            size = os.fstat(file.fileno()).st_size
            if size <= _READ_AT_ONCE_BYTES:
                return Source(name=source.name, kind="bytes", value=file.read(size))
    return source


def prefetch(source: Source) -> None:
    """Ask the operating system to start reading a file, while other images are processed."""
    if source.kind != "file" or not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError, ValueError):  # reported when the file is read
        if stat.S_ISREG(os.stat(source.value).st_mode):  # noqa: PTH116  (pathlib refuses names that the system takes)
            handle = _open_nonblocking(source.value, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.posix_fadvise(handle, 0, _READ_AT_ONCE_BYTES, os.POSIX_FADV_WILLNEED)
            finally:
                os.close(handle)


def _check_bytes(count: int, *, name: str, limits: ImageLimits) -> None:
    if limits.max_bytes is not None and count > limits.max_bytes:
        raise ImageTooLarge(f"{shorten(name)}: more than {limits.max_bytes:,} bytes, the limit (max_bytes).")


def _read_array(array: Any, *, name: str, limits: ImageLimits) -> DecodedImage:
    check_size((array.shape[1], array.shape[0]), name=name, limits=limits)
    return decode_pil_image(array_to_pil_image(array, name=name), name=name, limits=limits)


def _open_nonblocking(path: str, flags: int) -> int:
    # Opening a named pipe without a writer would block forever.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@contextlib.contextmanager
def _open_file(path: str, *, name: str, limits: ImageLimits) -> Iterator[BinaryIO]:
    """Open a file for reading. Errors in the block are translated too."""
    shown = shorten(name)
    try:
        # Checked before opening, because opening a device may have effects, and after it, because the file
        # may have been replaced in between.
        _check_regular(os.stat(path), shown=shown)  # noqa: PTH116  (pathlib refuses names that the system takes)
        with open(path, "rb", opener=_open_nonblocking) as file:
            status = os.fstat(file.fileno())
            _check_regular(status, shown=shown)
            _check_bytes(status.st_size, name=name, limits=limits)
            yield file
    except InputError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise ImageNotFound(f"{shown}: there is no such file.") from error
    except OSError as error:
        raise ImageUnreadable(f"{shown} could not be read: {error.strerror or error}.") from error
    except ValueError as error:  # NUL, or characters that the file system cannot encode
        raise ImageNotFound(f"{shown} is not a possible file name.") from error


def _check_regular(status: os.stat_result, *, shown: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ImageUnreadable(
            f"{shown} is a folder, not an image. Use stream() or `pictag classify` for folders."
        )
    if not stat.S_ISREG(status.st_mode):
        raise ImageUnreadable(f"{shown} is not a regular file (but a pipe, socket or device).")


def _read_stream(stream: BinaryIO, *, name: str, limits: ImageLimits) -> bytes:
    """Read the rest of the stream, without closing it."""
    parts = io.BytesIO()
    try:
        while part := stream.read(_STREAM_PART_BYTES):
            if isinstance(part, str):
                raise UnsupportedInput("The file object returns text. Open the image in binary mode.")
            parts.write(part)
            _check_bytes(parts.tell(), name=name, limits=limits)
    except InputError:
        raise
    except (OSError, ValueError, TypeError) as error:
        raise ImageUnreadable(f"{shorten(name)} could not be read: {shorten(error)}.") from error
    return parts.getvalue()


def _read_data_url(url: str) -> bytes:
    head, comma, body = url.partition(",")
    if not comma:
        raise NotAnImage("The data: URL has no comma, so it has no data. Expected data:image/png;base64,…")
    data = unquote_to_bytes(body.encode("utf-8", "surrogateescape"))
    if head.lower().rstrip().endswith(";base64"):
        return _read_base64(data.decode("latin-1"), name="<data>")
    return data


def _read_base64(text: str, *, name: str) -> bytes:
    try:
        return decode_base64(text)
    except ValueError as error:
        raise CorruptImage(f"{name}: {error}. The text was truncated or altered.") from error
