"""Writes TIFF files of any kind, including those that Pillow can't write."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Order = Literal["<", ">"]
_TYPES = {1: "B", 2: "B", 3: "H", 4: "I"}


@dataclass(frozen=True, kw_only=True)
class Page:
    """One image: its values, the tags that can't be derived from them as (type, values), and sub-images.

    ``tags`` with the value None are left out of the file.
    """

    values: NDArray[Any]
    photometric: int = 1
    tags: Mapping[int, tuple[int, tuple[int, ...]] | None] = field(default_factory=dict)
    children: tuple[Page, ...] = ()


def text(value: str) -> tuple[int, tuple[int, ...]]:
    return 2, (*value.encode(), 0)


def make_tiff(*pages: Page, order: Order = "<") -> bytes:
    """An uncompressed TIFF of these pages; ``order`` is ``<`` or ``>``."""
    out = bytearray((b"II" if order == "<" else b"MM") + struct.pack(order + "HI", 42, 0))
    link = 4  # where the place of the next directory is written
    for page in pages:
        struct.pack_into(order + "I", out, link, _append(out, page, order))
        link = len(out) - 4
    return bytes(out)


def _append(out: bytearray, page: Page, order: Order) -> int:
    """Append the page, its directory last, and return the directory's place."""
    children = tuple(_append(out, child, order) for child in page.children)
    values = page.values.astype(page.values.dtype.newbyteorder(order))
    height, width, *rest = values.shape
    samples = rest[0] if rest else 1
    kinds = {"u": 1, "i": 2, "f": 3}
    tags: dict[int, tuple[int, tuple[int, ...]] | None] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (values.dtype.itemsize * 8,) * samples),
        259: (3, (1,)),
        262: (3, (page.photometric,)),
        273: (4, (len(out),)),
        277: (3, (samples,)),
        278: (4, (height,)),
        279: (4, (values.nbytes,)),
        339: (3, (kinds[values.dtype.kind],) * samples),
    }
    if children:
        tags[330] = (4, children)
    tags.update(page.tags)
    out += values.tobytes() + bytes(values.nbytes % 2)
    entries = b""
    written = {tag: value for tag, value in sorted(tags.items()) if value is not None}
    for tag, (kind, numbers) in written.items():
        packed = struct.pack(f"{order}{len(numbers)}{_TYPES[kind]}", *numbers)
        if len(packed) > 4:
            place = len(out)
            out += packed + bytes(len(packed) % 2)
            packed = struct.pack(order + "I", place)
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    directory = len(out)
    out += struct.pack(order + "H", len(written)) + entries + bytes(4)
    return directory
