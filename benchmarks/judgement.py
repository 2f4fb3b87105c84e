"""From the results of the races to the rows of the table: each job beside its bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.jobs import JOBS, Job

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """pictag's rate over another's, and how much it is to be."""

    against: str
    rate: float
    ratio: float
    bar: float

    @property
    def is_reached(self) -> bool:
        return self.ratio >= self.bar


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One job: who did it for pictag, how fast, and beside whom; ``None`` for who was left out."""

    job: Job
    contestant: str
    rate: float
    transformers: Comparison | None
    transformers_js: Comparison | None
    limit: Comparison | None


def judge_all(races: Mapping[str, Mapping[str, Any]]) -> list[Verdict]:
    """The verdicts on those jobs that were run; ``races`` as `benchmarks.speed` saves them."""
    verdicts = [_judge(job, races[job.race]["results"]) for job in JOBS if job.race in races]
    return [verdict for verdict in verdicts if verdict is not None]


def _judge(job: Job, results: Iterable[Row]) -> Verdict | None:
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
    return Verdict(
        job=job,
        contestant=ours["name"],
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
        limit=_compare(ours, find_limit(rows, ours), job.of_limit),
    )


def find_fastest(rows: Iterable[Row]) -> Row | None:
    """The row with the highest rate, ``None`` where there is none."""
    return max(rows, key=lambda row: row["rate"], default=None)


def find_limit(rows: Iterable[Row], ours: Row) -> Row | None:
    """What could be reached at best by one of pictag's rows."""
    return find_fastest(
        row
        for row in rows
        if row["family"] == "limit"
        and row["weights"] == ours["weights"]
        # The line's own steps are those of one engine; a matrix multiplication is anybody's.
        and (row["name"] == f"limit of {ours['name']}" or "multiplication" in row["name"])
    )


def _compare(ours: Row, other: Row | None, bar: float) -> Comparison | None:
    if other is None:
        return None
    return Comparison(against=other["name"], rate=other["rate"], ratio=ours["rate"] / other["rate"], bar=bar)
