"""An AVIF file's boxes, down to the data of the images that are coded in it.

Boxes are those of ISO/IEC 14496-12, items those of ISO/IEC 23008-12.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pictag.errors import CorruptImage

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_PARTS = 10_000
"""Of boxes and items in a file, and of units in their data. An image of a hundred tiles has a thousand."""
_CONTAINERS = frozenset({b"meta", b"moov", b"trak", b"mdia", b"minf", b"stbl"})
_FULL = 4  # bytes of version and flags, with which some boxes begin


class Parts:
    """Counts what is looked at in a file that may be hostile."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    def count(self) -> None:
        """One more; raises `CorruptImage` above the limit."""
        self._count += 1
        if self._count > self._most:
            raise CorruptImage(f"the file has more than {self._most:,} parts. Save it anew.")


class _Numbers:
    """Numbers of whole bytes, one after the other; raises ``IndexError`` at the end."""

    def __init__(self, data: memoryview) -> None:
        self._data, self._place = data, 0

    def next(self, size: int) -> int:
        end = self._place + size
        if end > len(self._data):
            raise IndexError
        value = int.from_bytes(self._data[self._place : end], "big")
        self._place = end
        return value


def find_coded(data: bytes, parts: Parts) -> Iterator[memoryview]:
    """The data of each AV1 item, and of the first sample of each track.

    Boxes of no meaning are passed over: a decoder will not understand them either.

    >>> list(find_coded(b"no boxes at all", Parts(MOST_PARTS)))
    []
    """
    file = memoryview(data)
    todo = [file]
    while todo:
        found: dict[bytes, list[memoryview]] = {}
        try:
            for kind, body in _boxes(todo.pop(), parts):
                if kind in _CONTAINERS:
                    todo.append(body[_FULL:] if kind == b"meta" else body)
                else:
                    found.setdefault(kind, []).append(body)
            if b"iloc" in found and b"iinf" in found:
                yield from _items(file, found, parts)
            if b"stsz" in found:
                yield from _first_samples(file, found)
        except (struct.error, IndexError):  # cut off
            continue


def _boxes(data: memoryview, parts: Parts) -> Iterator[tuple[bytes, memoryview]]:
    start = 0
    while start + 8 <= len(data):
        parts.count()
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, body)
            body += 8
        stop = start + size if size else len(data)
        if stop < body:
            return
        yield kind, data[body:stop]
        start = stop


def _coded_items(table: memoryview, parts: Parts) -> set[int]:
    """The identifiers of the items that are AV1 images."""
    items = set()
    for kind, body in _boxes(table[_FULL + (4 if table[0] else 2) :], parts):
        if kind == b"infe":
            numbers = _Numbers(body)
            version = numbers.next(_FULL) >> 24
            item = numbers.next(4 if version > 2 else 2)
            numbers.next(2)
            if numbers.next(4) == int.from_bytes(b"av01", "big"):
                items.add(item)
    return items


def _items(file: memoryview, boxes: dict[bytes, list[memoryview]], parts: Parts) -> Iterator[memoryview]:
    coded = _coded_items(boxes[b"iinf"][0], parts)
    table = _Numbers(boxes[b"iloc"][0])
    version = table.next(_FULL) >> 24
    sizes = table.next(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    id_size = 4 if version > 1 else 2
    joined_bytes = 0
    for _ in range(table.next(id_size)):
        parts.count()
        item = table.next(id_size)
        is_inside = bool(table.next(2) & 15) if version else False
        within = boxes.get(b"idat", [file[:0]])[0] if is_inside else file
        table.next(2)
        base = table.next(base_size)
        extents = []
        for _ in range(table.next(2)):
            parts.count()
            table.next(index_size)
            start = base + table.next(offset_size)
            extents.append(within[start : start + table.next(length_size)])
        if item not in coded:
            continue
        if len(extents) == 1:
            yield extents[0]
            continue
        joined_bytes += sum(map(len, extents))
        if joined_bytes > len(file):
            raise CorruptImage("the file's items share their data with each other. Save it anew.")
        yield memoryview(b"".join(extents))


def _first_samples(file: memoryview, boxes: dict[bytes, list[memoryview]]) -> Iterator[memoryview]:
    """One, but where tables are there twice: decoders differ in which of them they take."""
    lengths = []
    for table in boxes[b"stsz"]:
        (length,) = struct.unpack_from(">I", table, _FULL)
        if length == 0:  # each sample has its own
            (length,) = struct.unpack_from(">I", table, _FULL + 8)
        lengths.append(length)
    for kind, form in ((b"stco", ">I"), (b"co64", ">Q")):
        for table in boxes.get(kind, []):
            (start,) = struct.unpack_from(form, table, _FULL + 4)
            yield file[start : start + max(lengths)]
