"""Source: where one image comes from. Making one reads nothing."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Literal
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
from PIL import Image

from pictag.errors import UnsupportedInput, shorten
from pictag.images import sniff
from pictag.images.array import check_array

Kind = Literal["file", "url", "data", "base64", "bytes", "stream", "image", "array"]

_URL = re.compile(r"https?://", re.IGNORECASE)
_OTHER_SCHEME = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-\s]+={0,2}\s*")
_BASE64_SAMPLE = 256  # characters that are decoded to look for an image's magic number
_SHORTEST_BASE64 = 40  # the smallest image (a GIF of one pixel) is longer
_ACCEPTED = (
    "a path (str or pathlib.Path), a file:, http(s): or data: URL, base64 text, bytes, a binary file object, "
    "a PIL image or an array (numpy, or anything with __array__)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where one image comes from. Make one with `make_source`, read it with `read_image`.

    ``name`` is the path or URL as it was given, or ``<bytes>``, ``<image>``, ``<array>``, ``<stdin>``,
    ``<file>``, ``<base64>`` or ``<data>``.
    """

    name: str
    kind: Kind
    value: Any = field(repr=False, compare=False)


def _is_stream(value: object) -> bool:
    return callable(getattr(value, "read", None))


def _is_array(value: object) -> bool:
    """Whether this is one image of another library, such as PyTorch's tensors: not a batch, nor a column."""
    return hasattr(type(value), "__array__") and getattr(value, "ndim", 0) in (2, 3)


def _to_numpy(value: Any) -> np.ndarray[Any, Any]:
    if isinstance(value, np.ndarray):
        return value
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:  # on a GPU, or a type numpy lacks
        raise UnsupportedInput(
            f"{type(value).__name__} can't be read as an array: {shorten(error)}"
        ) from error


def decode_base64(text: str) -> bytes:
    """Decode base64 text, standard or URL-safe, with or without white space and padding.

    Raises ``ValueError`` if it isn't base64.
    """
    compact = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError(f"invalid base64: {error}") from error


def _is_base64_image(text: str) -> bool:
    if len(text) < _SHORTEST_BASE64 or not _BASE64.fullmatch(text, 0, _BASE64_SAMPLE):
        return False
    sample = "".join(text[:_BASE64_SAMPLE].split()).rstrip("=")
    try:
        head = decode_base64(sample[: len(sample) // 4 * 4])
    except ValueError:
        return False
    return sniff.recognise(head) is not None


def path_of_file_url(url: str) -> str:
    """The local path of a ``file:`` URL, which may contain bytes that aren't UTF-8.

    >>> path_of_file_url("file:///tmp/two%20words.png")
    '/tmp/two words.png'
    """
    parts = urlsplit(url, allow_fragments=False)
    if parts.netloc.lower() not in ("", "localhost"):
        raise UnsupportedInput(
            f"{shorten(url)} names another machine, {shorten(parts.netloc, 80)}. A file: URL must "
            "name a local file."
        )
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    path = os.fsdecode(unquote_to_bytes(path.encode("utf-8", "surrogateescape")))
    if os.name == "nt" and re.match(r"/[A-Za-z]:", path):
        path = path[1:]
    return path


def _source_of_text(text: str) -> Source:
    if _URL.match(text):
        return Source(name=text, kind="url", value=text)
    lowered = text[:8].lower()
    if lowered.startswith("data:"):
        return Source(name="<data>", kind="data", value=text)
    if lowered.startswith("file:"):
        return Source(name=text, kind="file", value=path_of_file_url(text))
    if not text:
        raise UnsupportedInput("An empty string is not an image. Pass a path, a URL or base64 text.")
    if os.path.lexists(text):
        return Source(name=text, kind="file", value=text)
    if scheme := _OTHER_SCHEME.match(text):
        raise UnsupportedInput(
            f"{shorten(text)}: {scheme[1]}: URLs are not supported. Use a path, or a file: or http(s): URL."
        )
    if _is_base64_image(text):
        return Source(name="<base64>", kind="base64", value=text)
    return Source(name=text, kind="file", value=text)


def make_source(value: object) -> Source:  # noqa: PLR0911  (one for each kind of input)
    """Make a `Source` from a value, without reading it.

    Accepts a path, a ``file:``, ``http:``, ``https:`` or ``data:`` URL, base64 text (if no file has that
    name), ``bytes``, ``bytearray`` or ``memoryview``, a binary file object, a ``PIL.Image``, or an
    array of numpy or another library (``__array__``). Raises `UnsupportedInput` for anything else.

    >>> make_source("tiger.jpg")
    Source(name='tiger.jpg', kind='file')
    >>> make_source(b"...").name
    '<bytes>'
    """
    if isinstance(value, Source):
        return value
    if isinstance(value, str):
        return _source_of_text(value)
    if isinstance(value, os.PathLike):
        path = os.fsdecode(os.fspath(value))
        return Source(name=path, kind="file", value=path)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return Source(name="<bytes>", kind="bytes", value=value)
    if isinstance(value, Image.Image):
        return Source(name="<image>", kind="image", value=value)
    if isinstance(value, np.ndarray) or _is_array(value):
        array = _to_numpy(value)
        check_array(array)
        return Source(name="<array>", kind="array", value=array)
    if _is_stream(value):
        if isinstance(value, io.TextIOBase):
            raise UnsupportedInput(
                "The file object returns text. Open the image in binary mode: open(path, 'rb')."
            )
        name = getattr(value, "name", None)
        return Source(name=name if isinstance(name, str) and name else "<file>", kind="stream", value=value)
    name = "None" if value is None else type(value).__name__
    raise UnsupportedInput(f"{name} is not an image. {_suggest_instead(value)}")


def _suggest_instead(value: object) -> str:
    if isinstance(value, Mapping):
        images = [key for key, cell in value.items() if isinstance(cell, (Image.Image, np.ndarray, bytes))]
        column = shorten(repr(images[0]), 80) if len(images) == 1 else "…"
        return f"Pass the images of a dataset's rows: classifier(row[{column}] for row in dataset)."
    if isinstance(value, (list, tuple)):
        return "Pass several images as one list, and pixels as an array."
    return f"pictag accepts {_ACCEPTED}."


SingleInput = (
    Source
    | str
    | bytes
    | bytearray
    | memoryview
    | os.PathLike[str]
    | Image.Image
    | np.ndarray[Any, Any]
    | Mapping[str, Any]
    | BinaryIO
)
"""One image, for type checkers."""
_SINGLE = (Source, str, bytes, bytearray, memoryview, os.PathLike, Image.Image, np.ndarray, Mapping)


def is_single(inputs: object) -> bool:
    """Whether ``inputs`` is one image rather than a list, tuple, iterator or dataset of images.

    A binary file object is one image, although it can be iterated.

    >>> is_single("tiger.jpg"), is_single(["tiger.jpg"]), is_single(io.BytesIO())
    (True, False, True)
    """
    return (
        isinstance(inputs, _SINGLE)
        or _is_stream(inputs)
        or not (isinstance(inputs, Iterable) or _is_dataset(inputs))
        or _is_array(inputs)
    )


def _is_dataset(inputs: object) -> bool:
    return hasattr(type(inputs), "__len__") and hasattr(type(inputs), "__getitem__")


def iterate(inputs: Any) -> Iterable[Any]:
    """Several images, one by one. PyTorch's datasets have a length and items, but no iterator."""
    if isinstance(inputs, Iterable):
        return inputs
    return (inputs[index] for index in range(len(inputs)))
