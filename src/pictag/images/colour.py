"""Any of Pillow's modes → upright 8-bit RGB, equal to the reference implementation.

The reference is ``exif_transpose`` followed by ``convert("RGB")``. For every 8-bit mode the result is
the same, byte for byte. Deep grey is scaled, where ``convert`` would clip it to white.

What has to be assumed is a `PictagWarning`, with the same text for all images: Python shows it once.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from PIL import Image

from pictag.errors import CorruptImage, PictagWarning
from pictag.images.tiff import read_grey_kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 0x0112  # the EXIF tag
_MAX_OVERSHOOT = 1.05  # for floats of 0…1
_STRETCHED = (
    "A single-channel image was stretched from its smallest…largest value to black…white, because its "
    "values are neither 0…1 nor whole numbers of 0…255 or 0…65535. Scale it yourself to choose another range."
)
_DARK = (
    "A 16-bit image is nearly black: no value exceeds 1/16 of the range. If its values have only 12 bits, "
    "multiply them by 16; if they have 8, convert them to uint8."
)
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = tuple(_UPRIGHT[orientation] for orientation in (5, 6, 7, 8))  # these swap width and height
PILLOW_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    RuntimeError,
    BufferError,
    struct.error,
    zlib.error,
)
"""What Pillow raises for corrupt files: it parses by slicing, unpacking and arithmetic, and wraps little of
what that raises. ``except Exception`` would also hide errors in our own code."""


def find_transposition(image: Image.Image) -> Image.Transpose | None:
    """The transposition that applies the image's EXIF orientation; ``None`` if it is upright.

    Broken EXIF data is treated as missing: the pixels are still good.
    """
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except PILLOW_ERRORS:
        return None
    return _UPRIGHT.get(orientation) if isinstance(orientation, int) else None


def read_floats(values: NDArray[np.floating[Any]]) -> NDArray[np.uint8] | None:
    """Floats of 0…1 or whole numbers of 0…255 as bytes; ``None`` if they are neither.

    Values of 0…1 may exceed 1 by 5%, as after a resize with a bicubic filter; the excess is clipped.
    Raises `CorruptImage` if a value is not finite.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CorruptImage(
            "The image has values that are not finite (NaN or infinity). Replace them, for example with "
            "numpy.nan_to_num."
        )
    if low >= 0 and high <= _MAX_OVERSHOOT:
        return cast(
            "NDArray[np.uint8]", np.rint(np.minimum(values.astype(np.float64), 1) * 255).astype(np.uint8)
        )
    if low >= 0 and high <= 255 and np.array_equal(values, np.rint(values)):
        return values.astype(np.uint8)
    return None


def scale_grey(values: NDArray[np.generic], *, bits: int = 16) -> NDArray[np.uint8]:
    """Scale deep grey to 8 bits, without clipping.

    ======================================  ==================================================
    unsigned 16-bit (or ``bits`` of them)   ``round(value · 255 / (2**bits - 1))``
    other integers, all within 0…255        unchanged
    other integers, all within 0…65535      as 16-bit
    floats, all within 0…1.05               ``round(value · 255)``, at most 255
    floats, whole numbers within 0…255      unchanged
    anything else                           stretched from smallest…largest to 0…255
    ======================================  ==================================================

    Warns if it stretches, or if 16-bit values use less than 1/16 of their range. Raises `CorruptImage` if a
    value is not finite.
    """
    if values.dtype.kind == "f":
        scaled = read_floats(cast("NDArray[np.floating[Any]]", values))
        return _stretch(values) if scaled is None else scaled
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        return scale_uint16(values, bits=bits)
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > 65535:
        return _stretch(values)
    return values.astype(np.uint8) if high <= 255 else scale_uint16(values.astype(np.uint16))


def scale_uint16(values: NDArray[np.generic], *, bits: int = 16) -> NDArray[np.uint8]:
    """Unsigned 16-bit values, of which ``bits`` are used, as bytes; of any shape."""
    top = 2**bits - 1
    warn_if_dark(int(values.max()), top=top)
    steps = np.minimum(np.arange(2**16, dtype=np.uint32), top)
    return cast("NDArray[np.uint8]", ((steps * 255 + top // 2) // top).astype(np.uint8)[values])


def warn_if_dark(largest: int, *, top: int) -> None:
    """Warn if the largest value of a deep image uses less than 1/16 of its range, which ends at ``top``."""
    if 0 < largest <= top // 16:
        warnings.warn(_DARK, PictagWarning, stacklevel=2)


def _stretch(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale the smallest…largest value to 0…255; equal values become black."""
    warnings.warn(_STRETCHED, PictagWarning, stacklevel=3)
    numbers = values.astype(np.float64)
    low, high = numbers.min(), numbers.max()
    factor = 255 / ((high - low) or 1.0)
    return cast("NDArray[np.uint8]", np.rint((numbers - low) * factor).astype(np.uint8))


def _deepen(image: Image.Image) -> Image.Image:
    """Convert one deep channel to "L", or to "LA" if one grey value is declared transparent."""
    values = np.asarray(image)
    kind = read_grey_kind(image)
    scaled = scale_grey(values if kind.dtype is None else values.view(kind.dtype), bits=kind.bits)
    if kind.white_is_zero:
        scaled = 255 - scaled
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (Image.fromarray(scaled), opaque))
    return Image.fromarray(scaled)


def to_rgb(image: Image.Image, *, alpha: Literal["drop", "white"] = "drop") -> Image.Image:
    """Convert a loaded image to a new upright image of mode RGB.

    >>> to_rgb(Image.new("LA", (3, 2), (7, 0))).getpixel((0, 0))
    (7, 7, 7)
    >>> to_rgb(Image.new("LA", (3, 2), (7, 0)), alpha="white").getpixel((0, 0))
    (255, 255, 255)
    """
    transposition = find_transposition(image)
    is_signed = image.mode == "L" and read_grey_kind(image).dtype == "int8"
    if image.mode in ("I", "F") or image.mode.startswith("I;16") or is_signed:
        image = _deepen(image)
    elif image.mode == "La":  # premultiplied; Pillow converts it only to LA
        image = image.convert("LA")
    if alpha == "white" and image.has_transparency_data:
        image = image.convert("RGBA")
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, mask=image.getchannel("A"))
    else:
        canvas = image.convert("RGB")
    if transposition is not None:
        canvas = canvas.transpose(transposition)
    # The transparent colour is kept, because some processors flatten it on white. The orientation is removed,
    # so that it isn't applied twice.
    canvas.info = {key: value for key, value in canvas.info.items() if key == "transparency"}
    return canvas
