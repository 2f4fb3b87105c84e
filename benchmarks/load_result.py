"""The result of a load on the server: faults, rates, latencies, and the server's memory over time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import Figure
from benchmarks.serve_plan import CONNECTION_REFUSED, LEFT, LOST, REFUSED, TOO_LATE, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The result of one plan; ``memory`` has samples of the server's resident memory in MB."""

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
        """Requests that got a response of any status."""
        return int((self.status > 0).sum())

    @property
    def faults(self) -> Counter[str]:
        """Counts of faults that are never allowed, and of those that this plan doesn't allow."""
        faults = Counter(
            {
                "lost": self.count(LOST),
                "answered twice": self.doubled,
                "swapped": self.swapped,
                "wrong": self.wrong_count,
            }
        )
        if not self.plan.may_refuse:
            faults.update({"refused": self.count(REFUSED), "timed out": self.count(TOO_LATE)})
        if not self.plan.may_close:
            faults["connections refused"] = self.connections_refused
            if self.plan.count is not None:
                faults["not sent"] = self.plan.count - self.asked
        return faults

    @property
    def left(self) -> int:
        return self.count(LEFT)

    @property
    def connections_refused(self) -> int:
        """Requests that could not connect, so the server never accepted them."""
        return self.count(CONNECTION_REFUSED)

    @property
    def rate(self) -> float:
        """Images classified per second."""
        return self.count(200) / self.wall_s


def make_load_result(plan: Plan, found: Mapping[str, Any], memory: Sequence[float] = ()) -> LoadResult:
    """The result from the load generator's output and samples of the server's memory."""
    columns = {name: np.array(found[name]) for name in ("at_s", "status", "latency_s")}
    return LoadResult(**{**found, **columns, "plan": plan, "memory": np.array(memory)})


def quantile_ms(results: Sequence[LoadResult], share: float, *statuses: int) -> float:
    """Latency since the scheduled time, for responses with these statuses; NaN if there are none."""
    found = np.concatenate([one.latency_s[np.isin(one.status, statuses)] for one in results])
    return float(np.quantile(found, share)) * 1000 if len(found) else float("nan")


def drift_mb(memory: NDArray[np.float64]) -> float:
    """Growth after warm-up: the median of the last tenth of the samples minus that of the second tenth."""
    tenth = max(1, len(memory) // 10)
    return float(np.median(memory[-tenth:]) - np.median(memory[tenth : 2 * tenth + 1]))


def count_faults(name: str, results: Sequence[LoadResult]) -> Figure:
    """All faults of several results as one figure, whose target is 0."""
    faults: Counter[str] = Counter()
    for one in results:
        faults.update(one.faults)
    said = ", ".join(f"{count:,} {kind}" for kind, count in faults.items())
    examples = "; ".join(text for one in results for text in one.wrong[:2])
    return Figure(
        name=name,
        measured=faults.total(),
        target=0,
        unit="",
        detail=f"of {sum(one.asked for one in results):,}: {said}" + (f" ({examples})" if examples else ""),
    )
