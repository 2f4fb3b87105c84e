"""Any of Pillow's modes → upright 8-bit RGB, equal to the reference implementation.

The reference is ``exif_transpose`` followed by ``convert("RGB")``. For every 8-bit mode the result is
the same, byte for byte. Deep grey is scaled, where ``convert`` would clip it to white.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
from PIL import Image

from pictag.errors import CorruptImage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORIENTATION = 0x0112  # the EXIF tag
_BITS_PER_SAMPLE = 258  # the TIFF tag
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


def scale_grey(values: NDArray[np.generic], *, bits: int = 16) -> NDArray[np.uint8]:
    """Scale deep grey to 8 bits, without clipping.

    ======================================  ==================================================
    unsigned 16-bit (or ``bits`` of them)   ``round(value · 255 / (2**bits - 1))``
    32-bit integer, all within 0…255        unchanged
    32-bit integer, all within 0…65535      as 16-bit
    float, all within 0…1                   ``round(value · 255)``
    float, all within 0…255                 truncated, as in Pillow
    anything else                           stretched from smallest…largest to 0…255
    ======================================  ==================================================

    Raises `CorruptImage` if a value is not finite.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:
        top = 2**bits - 1
        steps = np.minimum(np.arange(2**16, dtype=np.uint32), top)
        return cast("NDArray[np.uint8]", ((steps * 255 + top // 2) // top).astype(np.uint8)[values])
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise CorruptImage("The image has values that are not finite (NaN or infinity).")
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        return cast("NDArray[np.uint8]", np.rint(values.astype(np.float64) * 255).astype(np.uint8))
    if low >= 0 and high <= 255:
        return values.astype(np.uint8)
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        return scale_grey(values.astype(np.uint16))
    span = high - low or 1.0
    return cast(
        "NDArray[np.uint8]", np.rint((values.astype(np.float64) - low) * (255 / span)).astype(np.uint8)
    )


def _deepen(image: Image.Image) -> Image.Image:
    """Convert one deep channel to "L", or to "LA" if one grey value is declared transparent."""
    values = np.asarray(image)
    bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE)
    # TIFF packs 12-bit samples, which Pillow unpacks into 16 bits without scaling them.
    scaled = Image.fromarray(scale_grey(values, bits=12 if bits == (12,) else 16))
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        opaque = Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8))
        return Image.merge("LA", (scaled, opaque))
    return scaled


def to_rgb(image: Image.Image, *, alpha: Literal["drop", "white"] = "drop") -> Image.Image:
    """Convert a loaded image to a new upright image of mode RGB.

    >>> to_rgb(Image.new("LA", (3, 2), (7, 0))).getpixel((0, 0))
    (7, 7, 7)
    >>> to_rgb(Image.new("LA", (3, 2), (7, 0)), alpha="white").getpixel((0, 0))
    (255, 255, 255)
    """
    transposition = find_transposition(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
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
