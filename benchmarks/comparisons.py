"""Compare each job's results with its targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.jobs import JOBS, Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The ratio of pictag's rate to another, and its target."""

    against: str
    rate: float
    ratio: float
    target: float

    @property
    def is_reached(self) -> bool:
        return self.ratio >= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """One job: pictag's fastest system and its comparisons; ``None`` for a system that was left out."""

    job: Job
    system: str
    rate: float
    transformers: Comparison | None
    transformers_js: Comparison | None
    limit: Comparison | None


def compare_all(races: Mapping[str, Mapping[str, Any]]) -> list[JobResult]:
    """The results of all jobs that were run; ``races`` is what `benchmarks.speed` saves."""
    found = [_compare_job(job, races[job.race]["results"]) for job in JOBS if job.race in races]
    return [result for result in found if result is not None]


def _compare_job(job: Job, results: Iterable[Row]) -> JobResult | None:
    rows = list(results)
    ours = find_fastest(
        row
        for row in rows
        if row["family"] == "pictag"
        and row["weights"] == job.weights
        and (job.engine == "best" or job.engine in row["name"])
    )
    if ours is None:
        return None
    return JobResult(
        job=job,
        system=ours["name"],
        rate=ours["rate"],
        transformers=_compare(
            ours, find_fastest(row for row in rows if row["family"] == "transformers"), job.over_transformers
        ),
        transformers_js=_compare(
            ours,
            find_fastest(
                row
                for row in rows
                if row["family"] == "transformers.js"
                and any(f" {dtype}," in row["name"] for dtype in job.js_dtypes)
            ),
            job.over_transformers_js,
        ),
        limit=_compare(ours, find_limit(rows, ours), job.of_limit) if job.of_limit else None,
    )


def find_fastest(rows: Iterable[Row]) -> Row | None:
    """The row with the highest rate, ``None`` without rows."""
    return max(rows, key=lambda row: row["rate"], default=None)


def find_limit(rows: Iterable[Row], ours: Row) -> Row | None:
    """The row with the upper bound for one of pictag's rows."""
    return find_fastest(
        row
        for row in rows
        if row["family"] == "limit"
        and row["weights"] == ours["weights"]
        # The limit of the steps is specific to an engine; that of matrix multiplication is not.
        and (row["name"] == f"limit of {ours['name']}" or "multiplication" in row["name"])
    )


def _compare(ours: Row, other: Row | None, target: float) -> Comparison | None:
    if other is None:
        return None
    return Comparison(
        against=other["name"], rate=other["rate"], ratio=ours["rate"] / other["rate"], target=target
    )
