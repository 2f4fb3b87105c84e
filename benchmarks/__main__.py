"""Run the benchmarks: ``python -m benchmarks [NAME …] [--quick] [--save]``; each figure with its target."""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks.figures import Figure, Options, print_progress
from benchmarks.jobs import RACES

NAMES = (
    "import_time",
    "cold_start",
    "accuracy",
    "embedded",
    "install_size",
    "stream_memory",
    "speed",
    "agreement",
    "embeddings",
    "keywords",
    "gallery_search",
    "evaluation",
    "explanation",
    "structure",
    "teaching",
    "accelerator",
)
LONG = ("large_memory", "serve_load", "revisions", "gallery", "browse")  # only when they are named


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure pictag and its peers.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help=f"any of {', '.join(NAMES)} (these by default); {', '.join(LONG)} (minutes long)",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="only check that the benchmarks work; the figures mean little"
    )
    parser.add_argument("--save", action="store_true", help="write the results into docs/performance")
    parser.add_argument(
        "--race", action="append", default=[], choices=[race.key for race in RACES],
        help="with speed: run only this race; the newest results keep the others",
    )  # fmt: skip
    parser.add_argument("--base", metavar="REVISION", help="with revisions: the earlier code to compare with")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {*NAMES, *LONG}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}. Choose from {', '.join((*NAMES, *LONG))}")
    options = Options(
        quick=arguments.quick, save=arguments.save, races=tuple(arguments.race), base=arguments.base
    )
    missed = 0
    for name in arguments.names or NAMES:
        print_progress(name)
        for figure in importlib.import_module(f"benchmarks.{name}").run(options):
            missed += not figure.is_reached
            print_figure(figure)
    return 1 if missed else 0


def print_figure(figure: Figure) -> None:
    verdict = "reached" if figure.is_reached else "MISSED"
    bound = "at least" if figure.more else "at most"
    measured = f"{figure.measured:.3f}" if not figure.unit else f"{figure.measured:.2f} {figure.unit}"
    print(f"{figure.name}: {measured} ({bound} {figure.target:g}, {verdict})")
    print(f"    {figure.detail}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
