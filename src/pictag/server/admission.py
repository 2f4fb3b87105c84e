"""Who is let in: bounds on what waits, and a forecast of how long it would take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pictag.images import FetchLimits
from pictag.server.refusals import DeadlinePassed, Overloaded
from pictag.server.work import Cost

if TYPE_CHECKING:
    from pictag.server.served import ServedModel
    from pictag.server.work import Work

_NEWEST_COUNTS = 0.1  # of a new measurement, in a mean that moves with the load
_OPENING_PIXELS = 250_000  # opening any image takes about as long as decoding so many pixels
_SMALL = 4  # times smaller than others, an image is expected to take less than they do
_SAFETY = 1.25  # the mean is of the past: what it does not know takes longer more often than shorter


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLimits:
    """How much work may be under way, waiting and worked on, and how large one image may be.

    Bytes are those of encoded images and of tensors, pixels those that the images' headers announce.
    Something is let in when nothing else is under way, whatever its size. ``fetch`` says what an image's URL
    may cost; ``None`` refuses URLs.
    """

    max_queue: int = 256
    max_queued_bytes: int = 256 * 2**20
    max_queued_pixels: int = 1_000_000_000
    max_pixels: int = 50_000_000
    fetch: FetchLimits | None = None


@dataclass(slots=True)
class _Mean:
    value: float | None = None

    def note(self, measured: float) -> None:
        self.value = measured if self.value is None else self.value + _NEWEST_COUNTS * (measured - self.value)


@dataclass(slots=True)
class _Means:
    decode_s_per_pixel: _Mean = field(default_factory=_Mean)
    run_s: _Mean = field(default_factory=_Mean)
    # Of those that were let in: what each was expected to take, and its size.
    cost_s: _Mean = field(default_factory=_Mean)
    size_bytes: _Mean = field(default_factory=_Mean)


class Admission:
    """Counts what is under way, and refuses what would be too much. Used in the event loop alone."""

    def __init__(self, limits: WorkLimits, *, workers: int) -> None:
        self._limits = limits
        self._workers = workers
        self._means: WeakKeyDictionary[ServedModel, _Means] = WeakKeyDictionary()
        self.count = 0
        self._bytes = 0
        self._pixels = 0
        self._seconds = 0.0

    @property
    def predicted_wait_s(self) -> float:
        """How long what is under way will keep all workers busy, by the mean of what was measured."""
        return max(0.0, self._seconds) / self._workers

    def admit(self, served: ServedModel, *, size_bytes: int, pixels: int, left_s: float) -> Cost:
        """Let an image in that has ``left_s`` seconds left; `leave` is to be called for it later.

        Raises `Overloaded` where it would be too much or too late, with the time after which that should be
        different, and `DeadlinePassed`.
        """
        if left_s <= 0:
            raise DeadlinePassed("The time allowed for the request was over before it came to its image.")
        seconds = self._predict(served, pixels)
        self._check(size_bytes=size_bytes, pixels=pixels, seconds=seconds, left_s=left_s)
        means = self._means.setdefault(served, _Means())
        means.cost_s.note(seconds)
        means.size_bytes.note(size_bytes)
        cost = Cost(size_bytes=size_bytes, pixels=pixels, seconds=seconds)
        self.count += 1
        self._bytes += size_bytes
        self._pixels += pixels
        self._seconds += seconds
        return cost

    def check_room(self, served: ServedModel, *, size_bytes: int, left_s: float) -> None:
        """Raise `Overloaded` for an image that has not come yet, and would be refused when it has.

        Nothing but its size is known. It should take as long as others did, or less where it is much smaller.
        """
        means = self._means.get(served)
        seconds = 0.0
        if means is not None and means.cost_s.value and means.size_bytes.value:
            seconds = means.cost_s.value * min(1.0, _SMALL * size_bytes / means.size_bytes.value)
        self._check(size_bytes=size_bytes, pixels=0, seconds=seconds, left_s=left_s)

    def _check(self, *, size_bytes: int, pixels: int, seconds: float, left_s: float) -> None:
        if not self.count:
            return
        limits, wait_s = self._limits, self.predicted_wait_s
        if self.count >= limits.max_queue:
            raise Overloaded(wait_s, "Too many images are waiting.", reason="count")
        if self._bytes + size_bytes > limits.max_queued_bytes:
            raise Overloaded(wait_s, "Too many bytes of images are waiting.", reason="bytes")
        if self._pixels + pixels > limits.max_queued_pixels:
            raise Overloaded(wait_s, "Too many pixels of images are waiting.", reason="pixels")
        late_s = _SAFETY * (wait_s + seconds) - left_s
        if late_s > 0:
            raise Overloaded(late_s, "The images before this one take longer than it may.", reason="wait")

    def leave(self, cost: Cost) -> None:
        """An image that was let in is done with, in whatever way."""
        self.count -= 1
        self._bytes -= cost.size_bytes
        self._pixels -= cost.pixels
        self._seconds = self._seconds - cost.seconds if self.count else 0.0

    def learn(self, work: Work) -> None:
        """Take what an image really took into the forecast."""
        means = self._means.setdefault(work.served, _Means())
        if work.decode_s and work.cost.pixels and work.error is None:
            means.decode_s_per_pixel.note(work.decode_s / (_OPENING_PIXELS + work.cost.pixels))
        if work.run_s:
            means.run_s.note(work.run_s)

    def _predict(self, served: ServedModel, pixels: int) -> float:
        means = self._means.get(served)
        if means is None:  # nothing is known of the first: the other bounds hold
            return 0.0
        decode_s = (_OPENING_PIXELS + pixels) * (means.decode_s_per_pixel.value or 0.0) if pixels else 0.0
        return decode_s + (means.run_s.value or 0.0)
