"""Reading and writing tensors of the Open Inference Protocol, in JSON and as binary data."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import shorten
from pictag.server.bodies import decode_image_text
from pictag.server.http_errors import BadRequest

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOATS: Mapping[str, Any] = {"FP32": np.dtype("<f4"), "FP16": np.dtype("<f2"), "FP64": np.dtype("<f8")}
_LENGTH = struct.Struct("<I")
_MAX_DIMENSIONS = 8
_MAX_ELEMENTS = 2**31


def check_shape(shape: object) -> tuple[int, ...]:
    """A tensor's ``shape`` as non-negative integers; raises `BadRequest` for anything else."""
    if (
        not isinstance(shape, list)
        or not 1 <= len(shape) <= _MAX_DIMENSIONS
        or not all(isinstance(side, int) and not isinstance(side, bool) for side in shape)
        or not all(0 <= side <= _MAX_ELEMENTS for side in shape)
        or math.prod(shape) > _MAX_ELEMENTS
    ):
        raise BadRequest(f"shape={shorten(repr(shape), 80)} is not a list of whole numbers.")
    return tuple(shape)


def split_texts(data: bytes | memoryview, *, at_most: int) -> list[bytes]:
    """The elements of a BYTES tensor: each is a length in four bytes, little-endian, followed by the bytes.

    Raises `BadRequest`, also at the first element beyond ``at_most``: a body can hold millions of empty ones.

    >>> split_texts(b"\\x03\\x00\\x00\\x00abc\\x00\\x00\\x00\\x00", at_most=2)
    [b'abc', b'']
    """
    found: list[bytes] = []
    position = 0
    while position < len(data):
        if len(found) == at_most:
            raise BadRequest(f"The BYTES tensor has more elements than its shape says: {at_most:,}.")
        if position + 4 > len(data):
            raise BadRequest("The BYTES tensor is cut off within a length.")
        (length,) = _LENGTH.unpack_from(data, position)
        position += 4 + length
        if position > len(data):
            raise BadRequest(
                f"An element of the BYTES tensor has a length of {length:,} bytes, but fewer follow. Each "
                "element is a length in four bytes, little-endian, followed by the bytes."
            )
        found.append(bytes(data[position - length : position]))
    return found


def join_texts(texts: Sequence[str]) -> bytes:
    """A BYTES tensor of these texts, in the format that `split_texts` reads."""
    encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(_LENGTH.pack(len(part)) + part for part in encoded)


def read_images(data: object, shape: tuple[int, ...]) -> list[bytes]:
    """The images of a BYTES tensor: a list of base64 strings, or binary data."""
    count = math.prod(shape)
    found: Sequence[Any] = (
        split_texts(data, at_most=count) if isinstance(data, memoryview) else _flatten(data)
    )
    if len(found) != count:
        raise BadRequest(f"A tensor of shape {list(shape)} has {count:,} elements, not {len(found):,}.")
    return [part if isinstance(part, bytes) else _decode_text(part) for part in found]


def _decode_text(text: object) -> bytes:
    if not isinstance(text, str):
        raise BadRequest(
            "The data of a BYTES tensor in JSON must be strings in base64. Binary data is smaller."
        )
    return decode_image_text(text)


def read_numbers(data: object, shape: tuple[int, ...], datatype: str) -> NDArray[np.float32]:
    """The float32 array of a tensor of numbers: a nested or flat list, or binary data."""
    count = math.prod(shape)
    if isinstance(data, memoryview):
        dtype = FLOATS[datatype]
        if len(data) != count * dtype.itemsize:
            raise BadRequest(
                f"A tensor of shape {list(shape)} in {datatype} has {count * dtype.itemsize:,} bytes, "
                f"not {len(data):,}."
            )
        numbers = np.frombuffer(data, dtype)
    else:
        values = _flatten(data)
        if len(values) != count:
            raise BadRequest(f"A tensor of shape {list(shape)} has {count:,} elements, not {len(values):,}.")
        if not {type(value) for value in values} <= {int, float}:
            raise BadRequest("The data contains something that is not a number.")
        try:
            numbers = np.array(values, np.float64)
        except OverflowError as error:
            raise BadRequest("The data contains a number that is too large for a float.") from error
    with np.errstate(over="ignore"):
        result = numbers.astype(np.float32).reshape(shape)
    if not np.isfinite(result).all():
        raise BadRequest("The tensor has values that are not finite in FP32.")
    return result


def _flatten(data: object) -> list[Any]:
    if not isinstance(data, list):
        raise BadRequest("The tensor's 'data' is not a list.")
    values = data
    for _ in range(_MAX_DIMENSIONS):
        if not values or not isinstance(values[0], list):
            return values
        if not all(isinstance(part, list) for part in values):
            break
        values = [value for part in values for value in part]
    raise BadRequest("The tensor's 'data' mixes lists and values, or is nested too deeply.")
