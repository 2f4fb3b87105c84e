"""What the frames of an AVIF file measure by their own headers: decoders go by those, whatever the file says.

Sections are those of the AV1 Bitstream & Decoding Process Specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.images.boxes import MOST_PARTS, Parts, find_coded

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEQUENCE, _FRAMES = 1, frozenset({3, 6, 7})
_HEADER_BYTES = 256  # more than a sequence header can take
_SWITCH = 3
_SELECT = 2  # a tool that each frame switches on or off for itself


def frame_sizes(data: bytes, *, most_parts: int = MOST_PARTS) -> list[tuple[int, int]]:
    """Width and height of every frame that may have to be decoded for the first image of an AVIF file.

    Tiles, transparency and thumbnails have frames of their own. What cannot be understood is passed over: a
    decoder will not understand it either. Raises `CorruptImage` where there is too much to look at: more
    boxes, items and units than ``most_parts``.

    >>> frame_sizes(b"no boxes at all")
    []
    """
    parts = Parts(most_parts)
    sizes: list[tuple[int, int] | None] = []
    largest = (0, 0)
    for coded in find_coded(data, parts):
        sequence: _Sequence | None = None
        for kind, body in _units(coded, parts):
            try:
                if kind == _SEQUENCE:
                    sequence = _read_sequence(_Bits(body))
                    largest = max(largest, sequence.size, key=_area)
                elif kind in _FRAMES:
                    sizes.append(None if sequence is None else _frame_size(sequence, _Bits(body)))
            except IndexError:  # cut off
                continue
    # A decoder that goes on to the next item still has the sequence of the last.
    return [size or largest for size in sizes]


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _units(coded: memoryview, parts: Parts) -> Iterator[tuple[int, memoryview]]:
    """The kind and the content of each open bitstream unit (section 5.3)."""
    at = 0
    while at < len(coded):
        parts.count()
        head = coded[at]  # its first bit should be zero; decoders do not look at it
        at += 2 if head & 4 else 1
        length = len(coded) - at
        if head & 2:
            length = 0
            for place in range(8):
                if at >= len(coded):
                    return
                byte = coded[at]
                at += 1
                length |= (byte & 0x7F) << 7 * place
                if byte < 0x80:
                    break
        yield head >> 3 & 15, coded[at : at + length]
        at += length


class _Bits:
    """Numbers of some bits, one after the other; raises ``IndexError`` at the end."""

    def __init__(self, data: memoryview) -> None:
        data = data[:_HEADER_BYTES]
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def next(self, count: int) -> int:
        """The next so many bits as a number."""
        self._left -= count
        if self._left < 0:
            raise IndexError
        return self._value >> self._left & ((1 << count) - 1)

    def skip_if(self, count: int) -> bool:
        """A flag, and behind it so many bits where it is set."""
        is_set = bool(self.next(1))
        self.next(count if is_set else 0)
        return is_set

    def skip_variable(self) -> None:
        """Zeros, a one, and as many bits as there were zeros. At 32 dav1d stops; the standard goes on."""
        for zeros in range(32):
            if self.next(1):
                self.next(zeros)
                return


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sequence:
    """What frames have in common; ``largest`` bounds those that have a size of their own."""

    size: tuple[int, int]
    largest: tuple[int, int]
    is_still: bool
    time_bits: int
    id_bits: int
    screen_content: int
    whole_motion: int


def _read_sequence(bits: _Bits) -> _Sequence:
    """Section 5.5.1, as far as it is needed."""
    bits.next(4)
    is_still = bool(bits.next(1))  # with a reduced header
    time_bits = 0
    if is_still:
        bits.next(5)
    else:
        time_bits = _read_timing(bits)
    width_bits, height_bits = bits.next(4) + 1, bits.next(4) + 1
    size = bits.next(width_bits) + 1, bits.next(height_bits) + 1
    id_bits, screen_content, whole_motion = 0, _SELECT, _SELECT
    if not is_still:
        if bits.next(1):
            id_bits = bits.next(4) + 2
            id_bits += bits.next(3) + 1
        bits.next(7)
        bits.skip_if(2)  # the order of frames
        screen_content = _SELECT if bits.next(1) else bits.next(1)
        if screen_content and not bits.next(1):
            whole_motion = bits.next(1)
    return _Sequence(
        size=size,
        largest=(1 << width_bits, 1 << height_bits),
        is_still=is_still,
        time_bits=time_bits,
        id_bits=id_bits,
        screen_content=screen_content,
        whole_motion=whole_motion,
    )


def _read_timing(bits: _Bits) -> int:
    """Timing and operating points; gives the bits that a shown frame's time takes."""
    delay_bits = time_bits = 0
    has_model = False
    if bits.next(1):
        bits.next(64)
        is_even = bits.next(1)
        if is_even:
            bits.skip_variable()
        has_model = bool(bits.next(1))
        if has_model:
            delay_bits = bits.next(5) + 1
            bits.next(32 + 5)
            time_bits = bits.next(5) + 1
            if is_even:
                time_bits = 0
    has_delay = bits.next(1)
    for _ in range(bits.next(5) + 1):
        bits.next(12)
        if bits.next(5) > 7:
            bits.next(1)
        if has_model:
            bits.skip_if(2 * delay_bits + 1)
        if has_delay:
            bits.skip_if(4)
    return time_bits


def _frame_size(sequence: _Sequence, bits: _Bits) -> tuple[int, int]:
    """Section 5.9.2 up to the flag that says whether the frame has a size of its own."""
    if sequence.is_still or bits.next(1):  # the latter shows a frame that was decoded before
        return sequence.size
    kind, is_shown = bits.next(2), bits.next(1)
    bits.next(sequence.time_bits if is_shown else 1)
    if kind != _SWITCH and not (kind == 0 and is_shown):
        bits.next(1)
    bits.next(1)
    is_screen = bits.next(1) if sequence.screen_content == _SELECT else sequence.screen_content
    if is_screen and sequence.whole_motion == _SELECT:
        bits.next(1)
    bits.next(sequence.id_bits)
    return sequence.largest if kind == _SWITCH or bits.next(1) else sequence.size
