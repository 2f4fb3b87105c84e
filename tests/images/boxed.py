"""AVIF files by hand: bits, units of code, boxes and items; no decoder would find pixels in them."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def bits(*fields: tuple[int, int]) -> bytes:
    """Numbers, each of so many bits."""
    text = "".join(format(value, f"0{count}b") for value, count in fields if count)
    text += "1"
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def unit(kind: int, body: bytes, *, has_length: bool = True) -> bytes:
    """An open bitstream unit of up to 16,383 bytes."""
    if not has_length:
        return bytes([kind << 3]) + body
    return bytes([kind << 3 | 2, len(body) & 0x7F | 0x80, len(body) >> 7]) + body


def still(width: int, height: int) -> bytes:
    """The unit with the reduced header of a still image."""
    return unit(1, bits((0, 3), (3, 2), (0, 5), (15, 4), (15, 4), (width - 1, 16), (height - 1, 16)))


def film(width: int, height: int, *, has_model: bool = False) -> bytes:
    """The unit with the full header, frames' identifiers of 9 bits in it."""
    model = [(1, 1), (9, 5), (1, 32), (4, 5), (6, 5)] if has_model else [(0, 1)]
    timing = [(1, 1), (1, 32), (25, 32), (0, 1), *model] if has_model else [(0, 1)]
    points = [(0, 1), (1, 5)]
    for level in (4, 9):
        points += [(0, 12), (level, 5), (0, 1 if level > 7 else 0)]
        points += [(1, 1), (0, 10), (0, 10), (1, 1)] if has_model else []
    tools = [(1, 1), (3, 4), (3, 3), (0, 7), (1, 1), (0, 2), (1, 1), (1, 1)]
    size = [(11, 4), (10, 4), (width - 1, 12), (height - 1, 11)]
    return unit(1, bits((0, 3), (0, 2), *timing, *points, *size, *tools))


def frame(*, has_own_size: bool, kind: int = 0, is_shown: bool = True, time_bits: int = 0) -> bytes:
    """A frame's unit that fits to `film`; ``time_bits`` is 7 for one with a model."""
    shown = [(1, 1), (0, time_bits)] if is_shown else [(0, 1), (1, 1)]
    resilient = [] if kind == 3 or (kind == 0 and is_shown) else [(1, 1)]
    own = [] if kind == 3 else [(int(has_own_size), 1)]
    return unit(6, bits((0, 1), (kind, 2), *shown, *resilient, (0, 1), (1, 1), (0, 1), (5, 9), *own, (0, 32)))


def box(kind: bytes, *parts: bytes, is_long: bool = False) -> bytes:
    body = b"".join(parts)
    if is_long:
        return b"\0\0\0\1" + kind + struct.pack(">Q", len(body) + 16) + body
    return struct.pack(">I", len(body) + 8) + kind + body


def avif(
    payloads: Sequence[bytes],
    *,
    version: int = 0,
    is_inside: bool = False,
    cuts: int = 1,
    kind: bytes = b"av01",
) -> bytes:
    """A file of items, whose data lies in it in so many extents, or (version 1 and up) in its ``idat``."""
    wide = version > 1
    start = box(b"ftyp", b"avif\0\0\0\0avifmif1") + box(b"free", bytes(70_000), is_long=True)
    data = b"".join(payloads)
    places = []
    at = 0
    for payload in payloads:
        step = -(-len(payload) // cuts) or 1
        places.append([(at + n, min(step, len(payload) - n)) for n in range(0, len(payload), step)])
        at += len(payload)
    number = ">I" if wide else ">H"
    entries = [
        box(b"infe", bytes([3 if wide else 2, 0, 0, 0]), struct.pack(number, item), b"\0\0", kind, b"\0")
        for item in range(len(payloads))
    ]
    items = box(b"iinf", bytes(4), struct.pack(">H", len(payloads)), *entries)
    table = [bytes([version, 0, 0, 0, 0x44, 0x40]), struct.pack(number, len(payloads))]
    base = 0 if is_inside else len(start) + 8
    for item, extents in enumerate(places):
        table.append(struct.pack(number, item))
        table.append(struct.pack(">H", int(is_inside)) if version else b"")
        table.append(struct.pack(">HIH", 0, base, len(extents)))
        table += [struct.pack(">II", *extent) for extent in extents]
    inside = box(b"idat", data) if is_inside else b""
    return start + box(b"mdat", data) + box(b"meta", bytes(4), items, box(b"iloc", *table), inside)


def track(sample: bytes, *, is_wide: bool = False, has_one_length: bool = False) -> bytes:
    """A file with a film, whose first sample is followed by others."""
    start = box(b"ftyp", b"avis\0\0\0\0avisavif")
    rest = still(9, 9) + unit(6, b"\0")
    offset = struct.pack(">II" if not is_wide else ">IQ", 1, len(start) + 8)
    lengths = (len(sample), 2) if has_one_length else (0, 2, len(sample), len(rest))
    table = box(
        b"stbl",
        box(b"co64" if is_wide else b"stco", bytes(4), offset),
        box(b"stsz", bytes(4), struct.pack(f">{len(lengths)}I", *lengths)),
    )
    inner = box(b"moov", box(b"trak", box(b"mdia", box(b"minf", table))))
    return start + box(b"mdat", sample, rest) + inner
