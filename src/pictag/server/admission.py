"""Admission control: limits on what is under way, and an estimate of the waiting time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pictag.errors import DeadlineExceeded
from pictag.images import FetchLimits
from pictag.server.http_errors import Overloaded

if TYPE_CHECKING:
    from pictag.execution import Outcome
    from pictag.server.served_model import ServedModel

_NEW_WEIGHT = 0.1  # of a new measurement in the moving averages
_OPENING_PIXELS = 250_000  # opening any image takes about as long as decoding this many pixels
_SMALL = 4  # an image this many times smaller than the average is expected to take less time
_SAFETY = 1.25  # deviations from the average are more often upwards


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkLimits:
    """How much work may be under way (waiting or being processed), and how large one image may be.

    Bytes are those of encoded images and tensors, pixels those in the images' headers. If nothing is under
    way, an image of any size is admitted. ``fetch`` limits downloads from URLs; ``None`` rejects URLs.
    """

    max_queue: int = 256
    max_queued_bytes: int = 256 * 2**20
    max_queued_pixels: int = 1_000_000_000
    max_pixels: int = 50_000_000
    fetch: FetchLimits | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an admitted image takes up: bytes, pixels, and expected seconds of a worker."""

    size_bytes: int
    pixels: int
    seconds: float


@dataclass(slots=True)
class _Mean:
    value: float | None = None

    def note(self, measured: float) -> None:
        self.value = measured if self.value is None else self.value + _NEW_WEIGHT * (measured - self.value)


@dataclass(slots=True)
class _Means:
    decode_s_per_pixel: _Mean = field(default_factory=_Mean)
    run_s: _Mean = field(default_factory=_Mean)
    # Of admitted images: expected time and size.
    cost_s: _Mean = field(default_factory=_Mean)
    size_bytes: _Mean = field(default_factory=_Mean)


class Admission:
    """Counts what is under way and rejects what would be too much. Used in the event loop only."""

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
        """How long the work under way will keep all workers busy, estimated from the average so far."""
        return max(0.0, self._seconds) / self._workers

    def admit(self, served: ServedModel, *, size_bytes: int, pixels: int, left_s: float) -> Cost:
        """Admit an image that has ``left_s`` seconds left; call `leave` with the result when it is done.

        Raises `Overloaded` with the time to retry after if it would be too much or too late, and
        `DeadlineExceeded`.
        """
        if left_s <= 0:
            raise DeadlineExceeded("The request's deadline passed before its image was admitted.")
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
        """Raise `Overloaded` for an image that has not arrived yet and would be rejected then.

        Only its size is known. It is expected to take as long as the average, or less if it is much smaller.
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
            raise Overloaded(
                late_s, "The images already waiting take longer than this request may take.", reason="wait"
            )

    def leave(self, cost: Cost) -> None:
        """Note that an admitted image is done, in whatever way."""
        self.count -= 1
        self._bytes -= cost.size_bytes
        self._pixels -= cost.pixels
        self._seconds = self._seconds - cost.seconds if self.count else 0.0

    def learn(self, served: ServedModel, cost: Cost, outcome: Outcome) -> None:
        """Update the averages with the time an image took, unless it failed."""
        if outcome.error is not None:
            return
        means = self._means.setdefault(served, _Means())
        if outcome.timing.decode_s and cost.pixels:
            means.decode_s_per_pixel.note(outcome.timing.decode_s / (_OPENING_PIXELS + cost.pixels))
        if outcome.timing.run_s:
            means.run_s.note(outcome.timing.run_s)

    def _predict(self, served: ServedModel, pixels: int) -> float:
        means = self._means.get(served)
        if means is None:  # the first image: only the other limits apply
            return 0.0
        decode_s = (_OPENING_PIXELS + pixels) * (means.decode_s_per_pixel.value or 0.0) if pixels else 0.0
        return decode_s + (means.run_s.value or 0.0)
