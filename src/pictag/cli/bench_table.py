"""A benchmark's report for people."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pictag.cli.card import show_size
from pictag.cli.ending import is_terminal
from pictag.errors import escape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pictag.benchmark.records import BottleneckReport, Report, Result

_PIPE_CELLS = 1000
_LEAST_CELLS = 50
_HEAD_CELLS = 34
_COLUMN_CELLS = 13
_FIRST_BROKEN = 3
_BUSY = 0.9
_UNKNOWN = "-"
_LINE = "whole line"


def draw_report(report: Report) -> str:
    """The report as text, as wide as the terminal, in colours where it has them."""
    on_terminal = is_terminal(sys.stdout)
    # In a pipe a table stays in one piece.
    width = shutil.get_terminal_size().columns if on_terminal else _PIPE_CELLS
    console = Console(markup=False, highlight=False, emoji=False, width=max(width, _LEAST_CELLS))
    with console.capture() as drawn:
        console.print(_draw_facts(report))
        room = max(1, (console.width - _HEAD_CELLS) // _COLUMN_CELLS)
        for start in range(0, len(report.results), room):
            console.print(_draw_results(report.results[start : start + room]))
        for result in report.results:
            for sentence in _describe(result):
                console.print(Text(sentence))
        if report.images is not None and report.images.cpu_share < _BUSY:
            share = f"{report.images.cpu_share:.0%}"
            sentence = (
                f"Only {share} of the cores' time was to be had: something else is running, or a limit holds."
            )
            console.print(Text(sentence, style="yellow"))
        if not report.is_complete:
            console.print(Text("Interrupted: not everything was measured.", style="yellow"))
    return "".join(line.rstrip() + "\n" for line in drawn.get().splitlines())


def _draw_facts(report: Report) -> Table:
    facts = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in _list_facts(report):
        facts.add_row(Text(name, style="bold"), Text(escape(value)))
    return facts


def _list_facts(report: Report) -> Iterator[tuple[str, str]]:
    machine, images, limits = report.machine, report.images, report.limits
    yield "model", f"{report.model} on {report.device}"
    yield "machine", f"{machine.processor}, {_count(machine.cores, 'core')}, {machine.system}"
    yield "features", ", ".join(machine.features) or "not known"
    yield "versions", ", ".join(f"{name} {number}" for name, number in machine.versions.items())
    if images is not None:
        origin = "drawn by code" if images.folder is None else f"of {images.folder}"
        yield (
            "images",
            f"{_count(images.count, 'image')} {origin}, {images.mean_pixels / 1e6:.2g} MP and "
            f"{show_size(round(images.mean_bytes))} each",
        )
        for broken in images.broken[:_FIRST_BROKEN]:
            yield "left out", broken.failure.message
        if len(images.broken) > _FIRST_BROKEN:
            yield "left out", f"… and {len(images.broken) - _FIRST_BROKEN:,} more"
        yield "decoding", f"{_rate(images.decode_per_s)} images/s on all cores ({report.decode})"
        yield "preprocessing", f"{_rate(images.preprocess_per_s)} images/s on all cores"
    if limits is not None:
        for name, unit, limit in (("float32", "GFLOP/s", limits.float32), ("int8", "GOP/s", limits.int8)):
            text = "not measured" if limit is None else f"{limit.gops:,.0f} {unit} ({limit.engine})"
            yield "multiplying", f"{name} {text}"


def _draw_results(results: Sequence[Result]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for result in results:
        table.add_column(Text(f"{result.engine}\n{result.dtype}"), justify="right", no_wrap=True)
    for name, cells in _list_rows(results):
        table.add_row(name, *(Text(cell) for cell in cells), style="bold" if name == _LINE else "")
    return table


def _list_rows(results: Sequence[Result]) -> Iterator[tuple[str, list[str]]]:
    """One row a measure, one cell an engine and dtype."""
    yield "start, to the first label", [_unit(r.start_s, "s", digits=2) for r in results]
    for name in ("p50", "p90", "p99"):
        cells = [None if r.latency is None else getattr(r.latency, f"{name}_ms") for r in results]
        yield f"one image, {name}", [_unit(cell, "ms", digits=1) for cell in cells]
    shapes = dict.fromkeys((rate.batch_size, rate.runs) for r in results for rate in r.inference)
    for size, runs in shapes:
        rates = [
            next((i.per_s for i in r.inference if (i.batch_size, i.runs) == (size, runs)), None)
            for r in results
        ]
        side = f", {runs} runs at once" if runs > 1 else ""
        yield f"inference, batch {size}{side}", [_unit(rate, "/s") for rate in rates]
    yield _LINE, [_unit(r.end_to_end_per_s, "/s") for r in results]
    yield "  its steps allow", _judged(results, lambda j: _unit(j.steps_per_s, "/s"))
    yield "  this machine allows", _judged(results, lambda j: _unit(j.limit_per_s, "/s"))
    yield "  reached of that", _judged(results, lambda j: _percent(j.limit_share))
    yield "  cores kept busy", [_percent(r.cpu_share) for r in results]
    yield "most memory", [show_size(r.memory_bytes) if r.memory_bytes else _UNKNOWN for r in results]
    yield "multiply-adds an image", [_millions(r) for r in results]
    yield "size of the model", [show_size(r.model_bytes) if r.model_bytes else _UNKNOWN for r in results]


def _judged(results: Sequence[Result], show: Callable[[BottleneckReport], str]) -> list[str]:
    return [_UNKNOWN if result.judgement is None else show(result.judgement) for result in results]


def _describe(result: Result) -> Iterator[str]:
    name = f"{result.engine}, {result.dtype}"
    if result.judgement is not None:
        yield f"{name}: {result.judgement.advice}"
    if result.failure is not None:
        yield f"{name}: {escape(result.failure.message)}"


def _unit(value: float | None, unit: str, *, digits: int | None = None) -> str:
    if value is None:
        return _UNKNOWN
    return f"{_rate(value) if digits is None else f'{value:,.{digits}f}'} {unit}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.1f}" if per_s < 100 else f"{per_s:,.0f}"


def _percent(share: float | None) -> str:
    return _UNKNOWN if share is None else f"{share:.0%}"


def _millions(result: Result) -> str:
    return _UNKNOWN if result.work is None else f"{result.work.multiply_adds / 1e6:,.0f} M"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
