"""pictag and its peers with the same files and weights, from file to labels, in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.comparisons import Comparison, compare_all
from benchmarks.figures import Figure, Options, print_progress, require_shared
from benchmarks.jobs import RACES, Race
from benchmarks.material import ModelSet, make_images, prepare_models
from benchmarks.race import Result, Schedule, race
from benchmarks.results import read_newest, save_section
from benchmarks.systems import find_systems
from benchmarks.tables import format_jobs, format_race

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RUNS, RUN_S = 5, 8.0
QUICK_RUNS, QUICK_RUN_S = 1, 2.0


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    models = prepare_models()
    races = read_newest()["races"] if options.races else {}
    for one in RACES:
        if options.races and one.key not in options.races:
            continue
        print_progress(one.title)
        races[one.key] = _run_race(one, models[one.model], quick=options.quick)
        print(format_race(races[one.key]), flush=True)
        if options.save:  # after each race, which takes ten minutes
            path = save_section("races", races, is_quick=options.quick, versions=_collect_versions(races))
            print_progress(f"saved as {path.name}")
    results = compare_all(races)
    print(format_jobs(results), flush=True)
    return [
        figure
        for result in results
        for figure in (
            _show(result.job.title, result.system, result.rate, result.transformers),
            _show(result.job.title, result.system, result.rate, result.transformers_js),
            _show(result.job.title, result.system, result.rate, result.limit),
        )
        if figure is not None
    ]


def _run_race(one: Race, models: ModelSet, *, quick: bool) -> dict[str, Any]:
    images = make_images(one.images, one.image_count)
    systems = find_systems(models, images, decode=one.decode, limit=one.limit)
    schedule = Schedule(
        run_s=QUICK_RUN_S if quick else RUN_S,
        runs=QUICK_RUNS if quick else RUNS,
        min_images=8 if quick else one.min_images,
    )
    results, failures = race(systems.available, schedule)
    return {
        "title": one.title,
        "decode": one.decode,
        "files": one.image_count,
        "results": [_describe(result, results) for result in results],
        "left_out": systems.left_out | failures,
    }


def _describe(result: Result, others: Sequence[Result]) -> dict[str, Any]:
    return {
        "name": result.system.name,
        "family": result.system.family,
        "weights": result.system.weights,
        "rate": round(result.rate, 3),
        "rates": [round(rate, 3) for rate in result.rates],
        "images": result.images,
        "peak_mb": result.peak_mb and round(result.peak_mb),
        "same_labels": _compare_labels(result, others),
        "facts": result.facts,
        "details": {key: round(value, 4) for key, value in result.details.items() if key != "seconds"},
    }


def _collect_versions(races: Mapping[str, Any]) -> dict[str, str]:
    """The versions that the peers report."""
    facts = [row["facts"] for race in races.values() for row in race["results"]]
    return {name: version for fact in facts for name, version in fact.get("versions", {}).items()}


def _compare_labels(result: Result, others: Sequence[Result]) -> float | None:
    """The share of images with the same best label as transformers; both read the files in one order."""
    references = [r for r in others if r.system.family == "transformers"]
    if not references or not result.labels:
        return None
    pairs = list(zip(result.labels, references[0].labels, strict=False))
    return round(sum(ours == theirs for ours, theirs in pairs) / len(pairs), 4)


def _show(title: str, system: str, rate: float, comparison: Comparison | None) -> Figure | None:
    if comparison is None:
        return None
    return Figure(
        name=f"{title}: over {comparison.against}",
        measured=comparison.ratio,
        target=comparison.target,
        unit="×",
        detail=f"{system}: {rate:.1f} images per second against {comparison.rate:.1f}",
        more=True,
    )
