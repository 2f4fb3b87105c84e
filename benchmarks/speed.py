"""pictag beside its peers: the same files and the same weights, from file to labels, in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.contestants import enter_all
from benchmarks.figures import Figure, Options, print_progress, require_shared
from benchmarks.jobs import RACES, Race
from benchmarks.judgement import Comparison, judge_all
from benchmarks.material import ModelSet, make_images, prepare_models
from benchmarks.race import Distance, Result, race
from benchmarks.results import read_newest, save_section
from benchmarks.tables import format_race, format_verdicts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LAPS, LAP_S = 5, 8.0
QUICK_LAPS, QUICK_LAP_S = 1, 2.0


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
        if options.save:  # each at once: a race takes ten minutes
            path = save_section("races", races, is_quick=options.quick, versions=_collect_versions(races))
            print_progress(f"saved as {path.name}")
    verdicts = judge_all(races)
    print(format_verdicts(verdicts), flush=True)
    return [
        figure
        for verdict in verdicts
        for figure in (
            _show(verdict.job.title, verdict.contestant, verdict.rate, verdict.transformers),
            _show(verdict.job.title, verdict.contestant, verdict.rate, verdict.transformers_js),
            _show(verdict.job.title, verdict.contestant, verdict.rate, verdict.limit),
        )
        if figure is not None
    ]


def _run_race(one: Race, models: ModelSet, *, quick: bool) -> dict[str, Any]:
    images = make_images(one.images, one.image_count)
    field = enter_all(models, images, decode=one.decode, limit=one.limit)
    distance = Distance(
        lap_s=QUICK_LAP_S if quick else LAP_S,
        laps=QUICK_LAPS if quick else LAPS,
        least_images=8 if quick else one.least_images,
    )
    results, dropouts = race(field.contestants, distance)
    return {
        "title": one.title,
        "decode": one.decode,
        "files": one.image_count,
        "results": [_describe(result, results) for result in results],
        "left_out": field.left_out | dropouts,
    }


def _describe(result: Result, everybody: Sequence[Result]) -> dict[str, Any]:
    return {
        "name": result.contestant.name,
        "family": result.contestant.family,
        "weights": result.contestant.weights,
        "rate": round(result.rate, 3),
        "rates": [round(rate, 3) for rate in result.rates],
        "images": result.images,
        "peak_mb": result.peak_mb and round(result.peak_mb),
        "same_labels": _compare_labels(result, everybody),
        "facts": result.facts,
        "details": {key: round(value, 4) for key, value in result.details.items() if key != "seconds"},
    }


def _collect_versions(races: Mapping[str, Any]) -> dict[str, str]:
    """The peers' packages, as they themselves say."""
    facts = [row["facts"] for race in races.values() for row in race["results"]]
    return {name: version for fact in facts for name, version in fact.get("versions", {}).items()}


def _compare_labels(result: Result, everybody: Sequence[Result]) -> float | None:
    """The share of images on which the best label is transformers'; both read the files in one order."""
    references = [r for r in everybody if r.contestant.family == "transformers"]
    if not references or not result.labels:
        return None
    pairs = list(zip(result.labels, references[0].labels, strict=False))
    return round(sum(ours == theirs for ours, theirs in pairs) / len(pairs), 4)


def _show(title: str, contestant: str, rate: float, comparison: Comparison | None) -> Figure | None:
    if comparison is None:
        return None
    return Figure(
        name=f"{title}: over {comparison.against}",
        measured=comparison.ratio,
        bar=comparison.bar,
        unit="×",
        detail=f"{contestant}: {rate:.1f} images a second against {comparison.rate:.1f}",
        more=True,
    )
