"""What became of the requests of a plan: faults, rates, latencies, and the server's memory meanwhile."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure
from benchmarks.serve_plan import DOOR_CLOSED, LEFT, LOST, REFUSED, TOO_LATE, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Volley:
    """What became of the requests of one plan; ``memory`` are the server's, in MB, as time went by."""

    plan: Plan
    at_s: NDArray[np.float64]
    status: NDArray[np.int64]
    latency_s: NDArray[np.float64]
    wrong: Sequence[str]
    wrong_count: int
    doubled: int
    swapped: int
    largest_difference: float
    wall_s: float
    cpu_s: float
    memory: NDArray[np.float64]

    @property
    def asked(self) -> int:
        return len(self.status)

    def count(self, *statuses: int) -> int:
        return int(np.isin(self.status, statuses).sum())

    @property
    def answered(self) -> int:
        """Requests that got an answer, whatever it was."""
        return int((self.status > 0).sum())

    @property
    def faults(self) -> Counter[str]:
        """What must never be, and what may be under some plans and not under this one."""
        faults = Counter(
            {
                "lost": self.count(LOST),
                "twice": self.doubled,
                "swapped": self.swapped,
                "wrong": self.wrong_count,
            }
        )
        if not self.plan.may_refuse:
            faults.update({"refused": self.count(REFUSED), "too late": self.count(TOO_LATE)})
        if not self.plan.may_close:
            faults["not let in"] = self.door_closed
            if self.plan.count is not None:
                faults["not asked"] = self.plan.count - self.asked
        return faults

    @property
    def left(self) -> int:
        return self.count(LEFT)

    @property
    def door_closed(self) -> int:
        """Requests that found nobody listening: they were never accepted."""
        return self.count(DOOR_CLOSED)

    @property
    def rate(self) -> float:
        """Images classified a second."""
        return self.count(200) / self.wall_s


def make_volley(plan: Plan, found: Mapping[str, Any], memory: Sequence[float] = ()) -> Volley:
    """What a generator found, and samples of the server's memory."""
    columns = {name: np.array(found[name]) for name in ("at_s", "status", "latency_s")}
    return Volley(**{**found, **columns, "plan": plan, "memory": np.array(memory)})


def quantile_ms(volleys: Sequence[Volley], share: float, *statuses: int) -> float:
    """Latency from the scheduled moment, of what was answered so; NaN where nothing was."""
    found = np.concatenate([one.latency_s[np.isin(one.status, statuses)] for one in volleys])
    return float(np.quantile(found, share)) * 1000 if len(found) else float("nan")


def drift_mb(memory: NDArray[np.float64]) -> float:
    """Growth after warm-up: the last tenth of the samples against the second tenth, by their medians."""
    tenth = max(1, len(memory) // 10)
    return float(np.median(memory[-tenth:]) - np.median(memory[tenth : 2 * tenth + 1]))


def count_faults(name: str, volleys: Sequence[Volley]) -> Figure:
    """What must never be, counted over several volleys."""
    faults: Counter[str] = Counter()
    for one in volleys:
        faults.update(one.faults)
    said = ", ".join(f"{count:,} {kind}" for kind, count in faults.items())
    examples = "; ".join(text for one in volleys for text in one.wrong[:2])
    return Figure(
        name=name,
        measured=faults.total(),
        bar=0,
        unit="",
        detail=f"of {sum(one.asked for one in volleys):,}: {said}" + (f" ({examples})" if examples else ""),
    )
