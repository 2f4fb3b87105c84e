"""Run the benchmarks: ``python -m benchmarks [NAME …]``; prints each figure beside its bar."""

from __future__ import annotations

import importlib
import sys

from benchmarks.figures import print_progress

NAMES = ("import_time", "cold_start", "accuracy", "embedded", "install_size", "stream_memory")


def main(names: list[str]) -> int:
    unknown = set(names) - set(NAMES)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}.")
        return 2
    missed = 0
    for name in names or NAMES:
        print_progress(name)
        for figure in importlib.import_module(f"benchmarks.{name}").run():
            missed += not figure.is_reached
            verdict = "reached" if figure.is_reached else "MISSED"
            bound = "at least" if figure.more else "at most"
            measured = f"{figure.measured:.3f}" if not figure.unit else f"{figure.measured:.2f} {figure.unit}"
            print(f"{figure.name}: {measured} ({bound} {figure.bar:g}, {verdict})")
            print(f"    {figure.detail}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
