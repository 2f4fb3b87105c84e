"""``python -m benchmarks.serve_page``: write the server's newest results into ``docs/performance.md``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure
from benchmarks.page import PAGE, fill_page
from benchmarks.results import FOLDER
from benchmarks.tables import format_table

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = "load"
VERSIONS = ("python", "pictag", "pillow", "onnxruntime", "starlette", "uvicorn", "httptools")


def main() -> int:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(fill_page(page, {TABLE: make_table(read_newest())}), encoding="utf-8")
    return 0


def read_newest() -> dict[str, Any]:
    """Read the newest results of the server."""
    found: dict[str, Any] = json.loads(max(FOLDER.glob("serve-*.json")).read_text(encoding="utf-8"))
    return found


def make_table(results: Mapping[str, Any]) -> str:
    """The figures with their targets, and where they were measured."""
    machine, versions = results["machine"], results["versions"]
    lines = [
        f"Measured on {results['date']}: {machine['system']}, {machine['architecture']}, "
        f"{machine['cores']} cores, shared by the server and its clients.",
        ", ".join(f"{name} {versions[name]}" for name in VERSIONS if name in versions) + ".",
    ]
    quick = [name for name, part in results["parts"].items() if part["quick"]]
    if quick:
        lines.append(f"**Quick runs, whose figures mean little: {', '.join(quick)}.**")
    figures = [Figure(**one) for part in results["parts"].values() for one in part["figures"]]
    table = format_table(("figure", "measured (target)", "details"), [_make_row(one) for one in figures])
    return "\n".join([*lines, "", table])


def _make_row(figure: Figure) -> tuple[str, str, str]:
    target = f"{'≥' if figure.more else '≤'} {figure.target:g}"
    measured = f"{figure.measured:.3g}" if abs(figure.measured) < 100 else f"{figure.measured:,.0f}"
    verdict = target if figure.is_reached else f"{target}: **missed**"
    return figure.name, f"{measured} {figure.unit}".rstrip() + f" ({verdict})", figure.detail


if __name__ == "__main__":
    sys.exit(main())
