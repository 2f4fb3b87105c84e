"""Source → DecodedImage: reads files, URLs, streams and values, then decodes them."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import threading
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote_to_bytes

from PIL import Image

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
from pictag.images.decode import DecodedImage, TargetSize, check_size, decode, decode_pil_image
from pictag.images.limits import MAX_PIXELS, FetchLimits, ImageLimits
from pictag.images.source import Source, decode_base64

if TYPE_CHECKING:
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
    """The lock to hold while reading an object that other threads may use at the same time.

    Pillow decodes an opened image on first use. Two threads that do so at once get parts of each other's
    pixels.
    """
    return _LOCKS[id(shared) % len(_LOCKS)]


def read_image(  # noqa: PLR0912  (one for each kind of source)
    source: Source,
    *,
    limits: ImageLimits = _IMAGE_LIMITS,
    fetch: FetchLimits = _FETCH_LIMITS,
    needed: TargetSize | None = None,
) -> DecodedImage:
    """Read and decode one image.

    ``needed`` returns, for an image's (width, height), the size it is resized to. Large JPEGs are then
    scaled down while they are decoded, to at least twice that size. Without it they are decoded in full.

    If the caller allows more pixels than Pillow opens, Pillow's limit is raised, for the whole process: it is
    a variable of `PIL.Image`, and can't be given for one image.

    Raises an `InputError`: `ImageNotFound`, `ImageUnreadable` or `FetchFailed` (or a subclass) for reading;
    `NotAnImage`, `FormatRefused`, `CorruptImage` or `ImageTooLarge` for decoding.

    >>> from pictag.images import make_source
    >>> read_image(make_source(Image.new("CMYK", (4, 3)))).rgb
    <PIL.Image.Image image mode=RGB size=4x3 ...>
    """
    if limits.max_pixels > max(MAX_PIXELS, Image.MAX_IMAGE_PIXELS or limits.max_pixels):
        Image.MAX_IMAGE_PIXELS = limits.max_pixels
    if source.kind in ("file", "url"):
        source = read_ahead(source, limits=limits, fetch=fetch)
    name, value = source.name, source.value
    match source.kind:
        case "file":
            try:
                with open(value, "rb", opener=_open_regular) as file:
                    return decode(file, name=name, limits=limits, needed=needed)
            except InputError:
                raise
            except (OSError, ValueError) as error:
                raise _translate(error, name=name) from error
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
    if limits.max_bytes is not None:
        _check_bytes(len(data), name=name, limits=limits)
    return decode(io.BytesIO(data), name=name, limits=limits, needed=needed)


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
        try:
            with open(source.value, "rb", opener=_open_regular) as file:
                size = os.fstat(file.fileno()).st_size
                if limits.max_bytes is not None:
                    _check_bytes(size, name=source.name, limits=limits)
                if size <= _READ_AT_ONCE_BYTES:
                    return Source(name=source.name, kind="bytes", value=file.read(size))
        except InputError:
            raise
        except (OSError, ValueError) as error:
            raise _translate(error, name=source.name) from error
    return source


def _check_bytes(count: int, *, name: str, limits: ImageLimits) -> None:
    if limits.max_bytes is not None and count > limits.max_bytes:
        raise ImageTooLarge(
            f"{shorten(name)}: larger than the limit of {limits.max_bytes:,} bytes (max_bytes)."
        )


def _read_array(array: Any, *, name: str, limits: ImageLimits) -> DecodedImage:
    check_size((array.shape[1], array.shape[0]), name=name, limits=limits)
    return decode_pil_image(array_to_pil_image(array, name=name), name=name, limits=limits)


def _open_regular(path: str, flags: int) -> int:
    """Open a regular file. pathlib isn't used, because it refuses names that the system takes."""
    # Checked before opening, because opening a device may have effects, and after it, because the file may
    # have been replaced in between.
    status = os.stat(path)  # noqa: PTH116
    if stat.S_ISREG(status.st_mode):
        # Without O_NONBLOCK, opening a named pipe without a writer would block forever.
        handle = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode):
            return handle
        os.close(handle)
    if stat.S_ISDIR(status.st_mode):
        raise ImageUnreadable(
            f"{shorten(path)} is a folder, not an image. Use stream() or `pictag classify` for folders.",
            errno=errno.EISDIR,
            filename=path,
        )
    raise ImageUnreadable(f"{shorten(path)} is a pipe, socket or device, not a regular file.", filename=path)


def _translate(error: Exception, *, name: str) -> InputError:
    """Translate an error that was raised while a file was opened or read."""
    shown = shorten(name)
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return ImageNotFound(f"{shown}: the file doesn't exist.", filename=name)
    if isinstance(error, OSError):
        return ImageUnreadable(
            f"{shown} could not be read: {error.strerror or error}.", errno=error.errno, filename=name
        )
    return ImageNotFound(
        f"{shown} is not a valid file name.", filename=name
    )  # NUL, or characters that can't be encoded


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
