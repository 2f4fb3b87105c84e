"""numpy arrays as images: accepted shapes and types, and how values are scaled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pictag.errors import CorruptImage, UnsupportedInput
from pictag.images.colour import scale_grey

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ACCEPTED = "uint8, uint16, bool or float arrays of height×width, or height×width×1, 3 or 4"


def check_array(array: NDArray[Any]) -> None:
    """Raise `UnsupportedInput` unless shape and dtype are those of an image. Values aren't read."""
    shape = "×".join(str(n) for n in array.shape) or "no axes"
    native = array.dtype.newbyteorder("=")
    if native not in (np.uint8, np.uint16, np.bool_) and native.kind != "f":
        raise UnsupportedInput(
            f"An array of {array.dtype} ({shape}) is not an image: pictag accepts {_ACCEPTED}. "
            "Convert it, for example with array.astype('uint8')."
        )
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4)):
        if array.size == 0:
            raise UnsupportedInput(f"The array ({shape}) is empty: it has no pixels.")
        return
    hint = ""
    if array.ndim == 3 and array.shape[0] in (1, 3, 4):
        hint = " Channels come last: array.transpose(1, 2, 0)."
    elif array.ndim == 4:
        hint = " Pass several images as a list: list(array)."
    raise UnsupportedInput(f"An array of shape {shape} is not an image: pictag accepts {_ACCEPTED}.{hint}")


def _to_bytes(array: NDArray[Any], *, name: str) -> NDArray[np.uint8]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "u":
        return scale_grey(array)
    low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CorruptImage(f"{name}: the array has values that are not finite (NaN or infinity).")
    if array.ndim == 3 and (low < 0 or high > 255):
        # Stretching would shift the colours, and clipping would lose them.
        raise CorruptImage(
            f"{name}: a colour array of floats must have values of 0…1 or of 0…255; "
            f"these range from {low:g} to {high:g}. Pass the image before normalisation."
        )
    return scale_grey(array)


def array_to_pil_image(array: NDArray[Any], *, name: str = "<array>") -> Image.Image:
    """Convert an array to an image of mode L, RGB or RGBA. 8-bit values are unchanged.

    uint16 is divided by 257, bool is black and white. Floats that are all within 0…1 are multiplied by 255;
    those within 0…255 are truncated. Other grey floats are stretched from smallest…largest to 0…255; other
    colour floats, and NaN, raise `CorruptImage`.

    >>> array_to_pil_image(np.full((2, 3), 0.5)).getpixel((0, 0))
    128
    """
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(_to_bytes(array, name=name)))
