"""A benchmark report as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from pictag.cli.card import show_size
from pictag.cli.tables import draw, make_console, make_table
from pictag.errors import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from pictag.benchmark.records import Report, Result

_HEAD_WIDTH = 34
_COLUMN_WIDTH = 13
_MAX_BROKEN = 3  # images that are named
_MISSING = "-"
_END_TO_END = "end to end"


def draw_report(report: Report) -> str:
    """The report as text that fits the terminal, with its colours."""
    console = make_console()
    room = max(1, (console.width - _HEAD_WIDTH) // _COLUMN_WIDTH)
    parts: list[RenderableType] = [make_table(_list_facts(report))]
    parts += (
        _draw_results(report.results[start : start + room]) for start in range(0, len(report.results), room)
    )
    for result in report.results:
        if result.failure is not None:
            parts.append(Text(f"{result.engine}, {result.dtype}: {escape(result.failure.message)}"))
    if not report.is_complete:
        parts.append(Text("Interrupted; not everything was measured.", style="yellow"))
    return draw(console, *parts)


def _list_facts(report: Report) -> Iterator[tuple[str, str]]:
    machine, images = report.machine, report.images
    yield "model", f"{report.model} on {report.device}"
    yield "machine", f"{machine.processor}, {_count(machine.cores, 'core')}, {machine.system}"
    yield "features", ", ".join(machine.features) or "unknown"
    yield "versions", ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    if images is None:
        return
    origin = "generated" if images.folder is None else f"from {images.folder}"
    yield (
        "images",
        f"{_count(images.count, 'image')} {origin}, {images.mean_pixels / 1e6:.2g} MP and "
        f"{show_size(round(images.mean_bytes))} on average, decoded {report.decode}",
    )
    for broken in images.broken[:_MAX_BROKEN]:
        yield "left out", broken.failure.message
    if len(images.broken) > _MAX_BROKEN:
        yield "left out", f"… and {len(images.broken) - _MAX_BROKEN:,} more"


def _draw_results(results: Sequence[Result]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for result in results:
        table.add_column(Text(f"{result.engine}\n{result.dtype}"), justify="right", no_wrap=True)
    for name, cells in _list_rows(results):
        table.add_row(name, *(Text(cell) for cell in cells), style="bold" if name == _END_TO_END else "")
    return table


def _list_rows(results: Sequence[Result]) -> Iterator[tuple[str, list[str]]]:
    """One row per measurement, one cell per engine and dtype."""
    yield "start, to the first label", [_show(r.start_s, "s", digits=2) for r in results]
    for name in ("p50", "p90", "p99"):
        cells = [None if r.latency is None else getattr(r.latency, f"{name}_ms") for r in results]
        yield f"latency of one image, {name}", [_show(cell, "ms", digits=1) for cell in cells]
    shapes = dict.fromkeys((rate.batch_size, rate.concurrency) for r in results for rate in r.inference)
    for shape in shapes:
        size, concurrency = shape
        rates = [{(i.batch_size, i.concurrency): i.per_s for i in r.inference}.get(shape) for r in results]
        suffix = f", {concurrency} at a time" if concurrency > 1 else ""
        yield f"inference, batch {size}{suffix}", [_show(rate, "/s") for rate in rates]
    yield _END_TO_END, [_show(r.end_to_end_per_s, "/s") for r in results]
    yield "  CPU use", [_MISSING if r.cpu_share is None else f"{r.cpu_share:.0%}" for r in results]
    yield "peak memory", [show_size(r.memory_bytes) if r.memory_bytes else _MISSING for r in results]
    yield "size of the model", [show_size(r.model_bytes) if r.model_bytes else _MISSING for r in results]


def _show(value: float | None, unit: str, *, digits: int | None = None) -> str:
    if value is None:
        return _MISSING
    if digits is None:
        digits = 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
