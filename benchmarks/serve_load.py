"""The server under load: ``python -m benchmarks.serve_load [PART …]`` prints figures with their targets.

Ratios compare alternating measurements of one run. ``--save`` writes the parts to
``docs/performance/serve-DATE.json``, from which `benchmarks.serve_page` makes its table in
``docs/performance.md``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, Options, print_progress
from benchmarks.results import FOLDER, STARTED, describe_machine, list_versions
from benchmarks.serve_endurance import (
    measure_leaving,
    measure_overload,
    measure_slow_clients,
    measure_stops,
)
from benchmarks.serve_material import list_models
from benchmarks.serve_memory import measure_memory
from benchmarks.serve_speed import make_rig, measure_latency, measure_throughput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from benchmarks.serve_material import Model

SERVER_PACKAGES = ("starlette", "uvicorn", "httptools")


def run_throughput(model: Model, *, quick: bool) -> list[Figure]:
    return measure_throughput(make_rig(model), rounds=1 if quick else 3, count=200 if quick else 1000)


def run_latency(model: Model, *, quick: bool) -> list[Figure]:
    return measure_latency(make_rig(model), rounds=2 if quick else 10, count=50 if quick else 100)


def run_overload(model: Model, *, quick: bool) -> list[Figure]:
    return measure_overload(make_rig(model), duration_s=6 if quick else 60)


def run_slow(model: Model, *, quick: bool) -> list[Figure]:
    return measure_slow_clients(make_rig(model), rounds=1 if quick else 3, duration_s=3 if quick else 15)


def run_stops(model: Model, *, quick: bool) -> list[Figure]:
    return measure_stops(make_rig(model), times=3 if quick else 20)


def run_leaving(model: Model, *, quick: bool) -> list[Figure]:
    return measure_leaving(make_rig(model), duration_s=4 if quick else 30)


def run_memory(model: Model, *, quick: bool) -> list[Figure]:
    return measure_memory(model, count=2000 if quick else 50_000)


# Each part's name, its function, and whether it runs with all weights or only the last ones.
PARTS: Mapping[str, tuple[Callable[..., list[Figure]], bool]] = {
    "throughput": (run_throughput, True),
    "latency": (run_latency, True),
    "overload": (run_overload, False),
    "slow": (run_slow, False),
    "stops": (run_stops, False),
    "leaving": (run_leaving, False),
    "memory": (run_memory, False),
}


def run(options: Options, parts: Iterable[str] = tuple(PARTS)) -> list[Figure]:
    """Run these parts, by default all."""
    figures = []
    for name in parts:
        measure, with_all = PARTS[name]
        found: list[Figure] = []
        for model in list_models() if with_all else list_models()[-1:]:
            print_progress(f"{name}, {model.title}")
            found += measure(model, quick=options.quick)
        if options.save:
            save_part(name, found, is_quick=options.quick)
        figures += found
    return figures


def save_part(name: str, figures: Iterable[Figure], *, is_quick: bool) -> None:
    """Write one part's figures to the day's file; the other parts are kept."""
    path = FOLDER / f"serve-{STARTED}.json"
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    parts = kept.get("parts", {}) | {name: {"quick": is_quick, "figures": [asdict(one) for one in figures]}}
    content = {
        "date": STARTED,
        "machine": describe_machine(),
        "versions": list_versions(SERVER_PACKAGES),
        "parts": {part: parts[part] for part in PARTS if part in parts},
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> int:
    from benchmarks.__main__ import print_figure

    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve_load", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="the short form, in seconds")
    parser.add_argument("--save", action="store_true", help="write the results into docs/performance")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Choose from {', '.join(PARTS)}")
    figures = run(Options(quick=arguments.quick, save=arguments.save), arguments.parts or tuple(PARTS))
    for figure in figures:
        print_figure(figure)
    return 0 if all(figure.is_reached for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
