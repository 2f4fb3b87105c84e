"""numpy arrays as images: accepted shapes and types, and how values are scaled."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pictag.errors import CorruptImage, PictagWarning, UnsupportedInput
from pictag.images.colour import read_floats, scale_grey, scale_uint16

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINARY = (
    "A uint8 array has no value above 1, so the image is black. If it should be black and white, convert it "
    "to bool. If it was divided by 255 as integers, convert it to float before the division."
)
_ACCEPTED = "uint8, uint16, bool or float arrays of height×width, or height×width×1, 3 or 4"


def check_array(array: NDArray[Any]) -> None:
    """Raise `UnsupportedInput` unless shape and dtype are those of an image. Values aren't read."""
    shape = "×".join(str(n) for n in array.shape) or "no axes"
    native = array.dtype.newbyteorder("=")
    if native not in (np.uint8, np.uint16, np.bool_) and native.kind != "f":
        raise UnsupportedInput(
            f"An array of {array.dtype} ({shape}) is not an image: pictag accepts {_ACCEPTED}. "
            "If all values are within 0…255, convert it with array.astype('uint8')."
        )
    if hasattr(array, "filled"):  # numpy.ma takes 10 ms to import
        raise UnsupportedInput(
            f"A masked array ({shape}) is not an image, because its masked values have no colour. "
            "Give them one with array.filled(0)."
        )
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
        if array.size == 0:
            raise UnsupportedInput(f"The array ({shape}) is empty: it has no pixels.")
        return
    hint = ""
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        hint = " Channels come last: array.transpose(1, 2, 0), in PyTorch tensor.permute(1, 2, 0)."
    elif array.ndim == 4:
        hint = " Pass several images as a list: list(array)."
    raise UnsupportedInput(f"An array of shape {shape} is not an image: pictag accepts {_ACCEPTED}.{hint}")


def _to_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        if array.max() == 1:
            warnings.warn(_BINARY, PictagWarning, stacklevel=2)
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.ndim == 2:
        return scale_grey(array)
    if array.dtype.kind == "u":
        return scale_uint16(array)
    scaled = read_floats(array)
    if scaled is None:  # stretching would shift the colours, and clipping would lose them
        raise CorruptImage(
            "a colour array of floats must have values of 0…1 or whole numbers of 0…255; these range from "
            f"{float(array.min()):g} to {float(array.max()):g}. Pass the image as it was before "
            "normalisation, or after a resize, array.clip(0, 1) or array.round().clip(0, 255)."
        )
    return scaled


def array_to_pil_image(array: NDArray[Any], *, name: str = "<array>") -> Image.Image:
    """Convert an array to an image of mode L, RGB or RGBA. 8-bit values are unchanged.

    uint16 is divided by 257, bool is black and white. Floats of 0…1 are multiplied by 255 (up to 1.05 they
    are clipped to 1); whole numbers of 0…255 are unchanged. Other grey floats are stretched from
    smallest…largest to 0…255, with a `PictagWarning`; other colour floats, and NaN, raise `CorruptImage`.

    >>> array_to_pil_image(np.full((2, 3), 0.5)).getpixel((0, 0))
    128
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    try:
        return Image.fromarray(np.ascontiguousarray(_to_bytes(array)))
    except CorruptImage as error:
        raise CorruptImage(f"{name}: {error}") from error
