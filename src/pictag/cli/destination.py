"""Where the results go and in which format: chosen from the options before anything is done."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, get_args

import click

from pictag.cli.ending import is_terminal
from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.sinks import Sink
    from pictag.sinks.resume import DoneSources
    from pictag.sinks.run_record import RunRecord
    from pictag.sinks.table import TableSink

Format = Literal["table", "jsonl", "json", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
EXTENSIONS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "table",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where the results go: ``path`` is None for standard output."""

    format: Format
    path: Path | None
    resume: bool = False
    retry_failed: bool = False

    @property
    def on_terminal(self) -> bool:
        """Whether the results are shown on a terminal."""
        return self.path is None and is_terminal(sys.stdout)


def choose_destination(
    *, asked: Format | None, output: str | None, resume: bool, retry_failed: bool, overwrite: bool
) -> Destination:
    """Format and file from the options; raises a usage error if the options contradict each other."""
    path = None if output in (None, "-") else Path(str(output))
    if path is not None:
        _check_place(path)
    chosen = _guess_format(path) if asked is None else asked
    if retry_failed and not resume:
        raise click.UsageError("--retry-failed needs --resume.")
    if overwrite and path is None:
        raise click.UsageError("--overwrite replaces a file. Name it with --output FILE.")
    if resume and path is None:
        raise click.UsageError("--resume continues a file. Name it with --output FILE.")
    if resume and chosen in ("table", "json"):
        name = "a table" if chosen == "table" else "one JSON array"
        raise click.UsageError(f"--resume continues a jsonl, csv or parquet file, not {name}.")
    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite contradict each other. Use one of them.")
    if chosen == "parquet":
        if path is None:
            raise click.UsageError("Parquet can't be written to standard output. Use --output FILE.")
        from pictag.sinks.parquet import import_pyarrow

        import_pyarrow()
    if path is None and sys.stdout is None:
        raise OutputError("Standard output is closed. Use --output FILE.")
    if path is not None and not (resume or overwrite):
        _check_new(path, chosen)
    return Destination(format=chosen, path=path, resume=resume, retry_failed=retry_failed)


def open_destination(
    destination: Destination,
    *,
    percent: bool,
    embeddings: bool = False,
    describe: Callable[[], RunRecord] | None = None,
) -> tuple[Sink, DoneSources | None]:
    """The sink, and with ``resume`` the images that its file already has.

    ``percent`` is True if scores are probabilities, ``embeddings`` if the predictions have embeddings;
    ``describe`` returns the record of the model and options that is kept with a file. Raises
    `pictag.errors.OutputError`.
    """
    if destination.format == "table":
        return open_table(destination.path, percent=percent), None
    if destination.path is None:
        return _open_stdout_sink(destination.format, embeddings=embeddings), None
    if destination.format == "json":
        from pictag.sinks.jsonl import JsonArraySink
        from pictag.sinks.lines import open_lines

        return JsonArraySink(open_lines(destination.path)), None
    from pictag.sinks.resume import open_sink, reopen_sink

    record = None if describe is None else describe()
    if destination.resume:
        return reopen_sink(
            destination.path,
            destination.format,
            retry_failed=destination.retry_failed,
            embeddings=embeddings,
            record=record,
        )
    return open_sink(destination.path, destination.format, embeddings=embeddings, record=record), None


def _guess_format(path: Path | None) -> Format:
    if path is None:
        return "table" if is_terminal(sys.stdout) else "jsonl"
    if path.suffix.lower() not in EXTENSIONS:
        raise click.UsageError(
            f"The name {shorten(path.name)!r} doesn't say which format to write. "
            f"Use one of the endings {', '.join(EXTENSIONS)}, or --format."
        )
    return EXTENSIONS[path.suffix.lower()]


def _check_place(path: Path) -> None:
    """Raise `OutputError` for a path that can't be written, before a model is loaded."""
    try:
        if path.is_dir():
            raise OutputError(f"{shorten(path)} is a folder. Give the name of a file.")
        if not path.parent.is_dir():
            what = "is not a folder" if path.parent.exists() else "doesn't exist. Create it first"
            raise OutputError(f"Cannot write {shorten(path)}: {shorten(path.parent)} {what}.")
        path.exists()
    except OutputError:  # is an OSError too
        raise
    except OSError as error:  # permissions of the folder, or a name that is too long
        raise OutputError(
            f"Cannot write {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error


def _check_new(path: Path, chosen: Format) -> None:
    """Raise `OutputError` for results that a new run would replace."""
    if path.is_file() and path.stat().st_size:
        advice = "Use --resume to continue it or --overwrite to replace it."
        if chosen in ("table", "json"):
            advice = "Use --overwrite to replace it."
        raise OutputError(f"{shorten(path)} already exists. {advice}")
    if chosen == "parquet":
        from pictag.sinks.unfinished import find_unfinished

        rows = find_unfinished(path)
        if rows is not None:
            raise OutputError(
                f"An earlier run ended before {shorten(path)} was finished; its results are in "
                f"{shorten(rows)}. Use --resume to continue it or --overwrite to start again."
            )


def _open_stdout_sink(chosen: Format, *, embeddings: bool) -> Sink:
    stream = open_stdout()
    if chosen in ("jsonl", "json"):
        from pictag.sinks.jsonl import JsonArraySink, JsonlSink

        return JsonlSink(stream) if chosen == "jsonl" else JsonArraySink(stream)
    from pictag.sinks.csv import CsvSink

    return CsvSink(stream, embeddings=embeddings)


def open_stdout() -> BinaryIO:
    """Standard output for bytes, unbuffered; it stays open when the stream is closed."""
    return open(sys.stdout.fileno(), "wb", buffering=0, closefd=False)


def open_table(path: Path | None, *, percent: bool) -> TableSink:
    """A table in a file, or on standard output."""
    from pictag.sinks.table import TableSink

    file: Path | int = sys.stdout.fileno() if path is None else path
    encoding = sys.stdout.encoding if path is None else "utf-8"
    try:
        stream = open(file, "w", encoding=encoding, errors="backslashreplace", closefd=path is not None)  # noqa: SIM115 - the sink closes it
    except OSError as error:
        raise OutputError(
            f"Cannot write {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error
    return TableSink(stream, percent=percent)
