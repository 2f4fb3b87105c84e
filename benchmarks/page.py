"""``python -m benchmarks.page``: tables and chart of ``docs/performance.md``, from the newest results.

Between ``<!-- tables: NAME -->`` and ``<!-- end -->`` the page is generated; the rest is written by hand.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.comparisons import compare_all
from benchmarks.figures import ROOT
from benchmarks.results import read_newest
from benchmarks.tables import (
    format_agreement,
    format_jobs,
    format_memory,
    format_race,
    format_steps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "performance.md"
CHART = ROOT / "docs" / "images" / "performance.png"
SECTION = re.compile(r"(<!-- tables: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.S)
NOT_MEASURED = "Not measured in this run."


def main() -> int:
    results = read_newest()
    PAGE.write_text(fill_page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    try:
        from benchmarks.chart import draw_chart
    except ImportError:
        print("The chart was not updated. It needs matplotlib (pip install --group bench).")
        return 1
    draw_chart(results["races"], CHART)
    return 0


def fill_page(text: str, results: Mapping[str, Any]) -> str:
    """The page with its tables replaced."""
    tables = make_tables(results)
    return SECTION.sub(lambda found: f"{found[1]}{tables[found['name']]}\n{found[3]}", text)


def make_tables(results: Mapping[str, Any]) -> dict[str, str]:
    """Each table by its name on the page."""
    races = results.get("races", {})
    return {
        "machine": _describe_machine(results),
        "jobs": format_jobs(compare_all(races)) if races else NOT_MEASURED,
        **{key: format_race(race) for key, race in races.items()},
        "steps": format_steps(races.values()) if races else NOT_MEASURED,
        "agreement": format_agreement(results["agreement"]) if "agreement" in results else NOT_MEASURED,
        "memory": format_memory(results["memory"]) if "memory" in results else NOT_MEASURED,
    }


def _describe_machine(results: Mapping[str, Any]) -> str:
    machine = results["machine"]
    features = ", ".join(machine["features"]) or "no relevant features"
    versions = ", ".join(
        f"{name} {version.removeprefix('v')}" for name, version in results["versions"].items()
    )
    quick = results.get("quick", ())
    warning = f"\n**Quick runs, whose figures mean little: {', '.join(quick)}.**" if quick else ""
    return (
        f"Measured on {results['date']}: {machine['system']}, {machine['architecture']}, "
        f"{machine['cores']} cores with {features}.\n{versions}.{warning}"
    )


if __name__ == "__main__":
    sys.exit(main())
