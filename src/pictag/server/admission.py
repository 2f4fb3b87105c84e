"""Admission control: limits on what is under way, and an estimate of the waiting time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from pictag.errors import DeadlineExceeded
from pictag.server.http_errors import Overloaded

if TYPE_CHECKING:
    from pictag.execution import Outcome
    from pictag.server.served_model import ServedModel
    from pictag.server.settings import ServerSettings

_NEW_WEIGHT = 0.1  # of a new measurement in the moving averages
_OPENING_PIXELS = 250_000  # opening any image takes about as long as decoding this many pixels
_SMALL = 4  # an image this many times smaller than the average is expected to take less time
_SAFETY = 1.25  # deviations from the average are more often upwards


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What an admitted image takes up: bytes, pixels, and expected seconds of a worker."""

    size_bytes: int
    pixels: int
    seconds: float


class _Means(dict[str, float]):
    """Moving averages of a model: decode_s_per_pixel, run_s, and of admitted images cost_s and size_bytes."""

    def note(self, name: str, measured: float) -> None:
        before = self.get(name, measured)
        self[name] = before + _NEW_WEIGHT * (measured - before)


class Admission:
    """Counts what is under way and rejects what would be too much. Used in the event loop only.

    Bytes are those of encoded images and tensors, pixels those in the images' headers. If nothing is under
    way, an image of any size is admitted.
    """

    def __init__(self, settings: ServerSettings, *, workers: int) -> None:
        self._settings = settings
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
        means.note("cost_s", seconds)
        means.note("size_bytes", size_bytes)
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
        means = self._means.get(served, _Means())
        share = _SMALL * size_bytes / max(1.0, means.get("size_bytes", 1.0))
        seconds = means.get("cost_s", 0.0) * min(1.0, share)
        self._check(size_bytes=size_bytes, pixels=0, seconds=seconds, left_s=left_s)

    def _check(self, *, size_bytes: int, pixels: int, seconds: float, left_s: float) -> None:
        if not self.count:
            return
        limits, wait_s = self._settings, self.predicted_wait_s
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
            means.note("decode_s_per_pixel", outcome.timing.decode_s / (_OPENING_PIXELS + cost.pixels))
        if outcome.timing.run_s:
            means.note("run_s", outcome.timing.run_s)

    def _predict(self, served: ServedModel, pixels: int) -> float:
        means = self._means.get(served, _Means())  # empty for the first image: only the other limits apply
        decode_s = (_OPENING_PIXELS + pixels) * means.get("decode_s_per_pixel", 0.0) if pixels else 0.0
        return decode_s + means.get("run_s", 0.0)
