"""Markdown tables of the results that `benchmarks.results` saves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from benchmarks.comparisons import Comparison, JobResult


def format_jobs(results: Iterable[JobResult]) -> str:
    """Each job with its ratios and targets."""
    return format_table(
        ("job", "pictag", "images per second", "vs transformers", "vs transformers.js", "of the limit"),
        [
            (
                result.job.title,
                result.system.rpartition(", ")[2],
                format_rate(result.rate),
                _format_comparison(result.transformers, _as_factor),
                _format_comparison(result.transformers_js, _as_factor),
                _format_comparison(result.limit, _as_share),
            )
            for result in results
        ],
    )


def format_rates(results: Iterable[JobResult]) -> str:
    """Each job's images per second, and those of the peers."""
    return format_table(
        ("images per second", "pictag", "transformers", "transformers.js"),
        [
            (
                result.job.title,
                format_rate(result.rate),
                *(
                    "–" if peer is None else format_rate(peer.rate)
                    for peer in (result.transformers, result.transformers_js)
                ),
            )
            for result in results
        ],
    )


def format_race(race: Mapping[str, Any]) -> str:
    """One race, fastest first, and the systems that were left out."""
    rows = sorted(race["results"], key=lambda row: -row["rate"])
    table = format_table(
        (
            race["title"],
            "images per second",
            "runs, slowest to fastest",
            "memory, MB",
            "same label as transformers",
        ),
        [
            (
                row["name"],
                format_rate(row["rate"]),
                f"{format_rate(min(row['rates']))} to {format_rate(max(row['rates']))}",
                "–" if row["family"] == "limit" or row["peak_mb"] is None else f"{row['peak_mb']:,}",
                "–" if row["same_labels"] is None else f"{row['same_labels']:.0%}",
            )
            for row in rows
        ],
    )
    return "\n".join([table, *(f"\nLeft out: {name}: {why}" for name, why in race["left_out"].items())])


def format_steps(races: Iterable[Mapping[str, Any]]) -> str:
    """CPU time of each step of an image while all cores run the same step."""
    rows = [
        (race, row)
        for race in races
        for row in sorted(race["results"], key=lambda row: str(row["name"]))
        if "load_core_ms" in row["details"]
    ]
    return format_table(
        ("images, weights and engine", "decode and preprocess, ms", "inference, ms", "best batch", "limit"),
        [
            (
                f"{race['title']}, {row['name'].removeprefix('limit of pictag ')}",
                f"{row['details']['load_core_ms']:.2f}",
                f"{row['details']['infer_core_ms']:.2f}",
                f"{row['details']['batch_size']:.0f}",
                format_rate(row["rate"]),
            )
            for race, row in rows
        ],
    )


def format_agreement(agreements: Iterable[Mapping[str, Any]]) -> str:
    """How much faster options change the scores."""
    return format_table(
        ("compared", "images", "same best label", "mean difference", "largest difference"),
        [
            (
                one["name"],
                str(one["images"]),
                _mark(
                    f"{one['same_best']:.1%}",
                    f"≥ {one['target']:.0%}",
                    is_reached=one["same_best"] >= one["target"],
                ),
                f"{one['mean_difference']:.4f}",
                f"{one['largest_difference']:.3f}",
            )
            for one in agreements
        ],
    )


def format_memory(runs: Iterable[Mapping[str, Any]]) -> str:
    """The memory of long runs."""
    return format_table(
        ("run", "engine", "peak, MB", "growth, MB"),
        [
            (
                f'{run["images"]:,} of 12 MP, MobileNetV2 {run["weights"]}, `decode="{run["decode"]}"`',
                run["engine"],
                _mark(f"{run['peak_mb']}", "≤ 600", is_reached=run["peak_mb"] <= 600),
                f"{run['growth_mb']} after the first {run['settled_at']}",
            )
            for run in runs
        ],
    )


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with aligned columns: the first to the left, the others to the right."""
    body = [tuple(row) for row in rows]
    widths = [max(len(row[column]) for row in [tuple(head), *body]) for column in range(len(head))]
    rule = tuple(
        "-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)
    )

    def line(row: Sequence[str]) -> str:
        cells = (
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        return f"| {' | '.join(cells)} |"

    return "\n".join(line(row) for row in [tuple(head), rule, *body])


def format_rate(rate: float) -> str:
    """Images per second with three digits."""
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def _format_comparison(comparison: Comparison | None, show: Callable[[float], str]) -> str:
    if comparison is None:
        return "not measured"
    return _mark(show(comparison.ratio), f"≥ {show(comparison.target)}", is_reached=comparison.is_reached)


def _as_factor(value: float) -> str:
    return f"{value:.3g}×"


def _as_share(value: float) -> str:
    return f"{value:.0%}"


def _mark(value: str, target: str, *, is_reached: bool) -> str:
    return f"{value} ({target})" if is_reached else f"{value} ({target}: **missed**)"
