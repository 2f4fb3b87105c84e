"""``python -m benchmarks.page``: tables and chart of ``docs/performance.md``, from the newest results.

It also writes the table in ``README.md``; `benchmarks.serve_page` writes the one about the server.
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
    format_rates,
    format_steps,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
CHART = ROOT / "docs" / "images" / "performance.png"
SECTION = re.compile(r"(<!-- tables: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.S)
NOT_MEASURED = "Not measured in this run."


def main() -> int:
    results = read_newest()
    tables = make_tables(results)
    for page in (PAGE, README):
        page.write_text(fill_page(page.read_text(encoding="utf-8"), tables), encoding="utf-8")
    try:
        from benchmarks.chart import draw_chart
    except ImportError:
        print("The chart was not updated. It needs matplotlib (pip install --group bench).")
        return 1
    draw_chart(results["races"], CHART)
    return 0


def fill_page(text: str, tables: Mapping[str, str]) -> str:
    """The page with these tables; others stay as they are."""

    def fill(found: re.Match[str]) -> str:
        table = tables.get(found["name"])
        return found[0] if table is None else f"{found[1]}{table}\n{found[3]}"

    return SECTION.sub(fill, text)


def make_tables(results: Mapping[str, Any]) -> dict[str, str]:
    """Each table by its name on the page, except that of `benchmarks.serve_page`."""
    races = results.get("races", {})
    return {
        "machine": _describe_machine(results),
        "jobs": format_jobs(compare_all(races)) if races else NOT_MEASURED,
        "rates": format_rates(compare_all(races)) if races else NOT_MEASURED,
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
