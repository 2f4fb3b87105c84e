"""Write an evaluation: the report, ``metrics.json``, CSV files, and copies of the wrong images."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import OutputError, shorten
from pictag.evaluation.html_report import render_report, sort_mistakes
from pictag.evaluation.metrics_file import encode_metrics
from pictag.replacement import replace_file

if TYPE_CHECKING:
    from pictag.evaluation.figures import Evaluation

METRICS = "metrics.json"
REPORT = "report.html"
_UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')
_MOST_BYTES = 120  # file systems allow 255, and a number and an extension follow


def make_folders(
    report: Path | None, copies: Path | None, *, overwrite: bool, data: Path | None = None
) -> None:
    """Make the folders of a report and of copied images.

    Raises `OutputError` if there already is a report and ``overwrite`` isn't set, if ``copies`` isn't empty,
    or if a folder is in ``data``, the folder of the class folders, where it would be a class the next time.
    """
    for folder in (report, copies):
        if folder is None or data is None:
            continue
        if data.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise OutputError(
                f"{shorten(folder)} is in {shorten(data)}, where it would be taken for a class. Choose "
                "another folder."
            )
    if report is not None:
        _make(report)
        if (report / METRICS).exists() and not overwrite:
            raise OutputError(f"{shorten(report)} already has a report. Use --overwrite to replace it.")
    if copies is not None:
        _make(copies)
        if any(copies.iterdir()):
            raise OutputError(f"{shorten(copies)} is not empty. Give a new folder for the copies.")


def write_report(folder: Path, found: Evaluation) -> None:
    """Write ``report.html``, ``metrics.json``, ``classes.csv`` and ``confusions.csv``."""
    classes = (
        (
            c.name, c.images, c.predicted,
            *(value for e in (c.precision, c.recall, c.f1, c.average_precision)
              for value in (e.value, e.low, e.high)),
            c.threshold, c.best_threshold,
        )
        for c in found.classes
    )  # fmt: skip
    columns = [
        f"{name}{end}"
        for name in ("precision", "recall", "f1", "average_precision")
        for end in ("", "_low", "_high")
    ]
    files = {
        REPORT: render_report(found),
        METRICS: encode_metrics(found) + "\n",
        "classes.csv": _encode(
            ("class", "images", "predicted", *columns, "threshold", "best_threshold"), classes
        ),
        "confusions.csv": _encode(("truth", "predicted", "images"), found.confusions),
    }
    for name, text in files.items():
        with replace_file(folder / name) as stream:
            stream.write(text.encode("utf-8", "backslashreplace"))


def export_wrong(folder: Path, found: Evaluation) -> int:
    """Copy the wrong images into ``folder``, one folder for each truth; returns how many.

    A copy's name begins with the predicted label. Images that are not files are left out.
    """
    count = 0
    for image in sort_mistakes(found):
        if image.source.kind != "file":
            continue
        place = folder / _clean(" + ".join(image.truth) or "none")
        original = Path(image.source.value)
        stem = _clean(f"{' + '.join(image.predicted) or 'none'} {original.stem}")
        copy, number = place / f"{stem}{original.suffix}", 2
        while copy.exists():
            copy, number = place / f"{stem} {number}{original.suffix}", number + 1
        try:
            place.mkdir(exist_ok=True)
            shutil.copyfile(original, copy)
        except OSError as error:
            raise OutputError(
                f"Cannot copy {shorten(original)} to {shorten(copy)}: {error.strerror}.",
                errno=error.errno,
                filename=copy,
            ) from error
        count += 1
    return count


def _make(path: Path) -> None:
    try:
        if not path.is_dir():
            path.mkdir()
    except FileExistsError as error:
        raise OutputError(f"{shorten(path)} is not a folder.", errno=error.errno, filename=path) from error
    except OSError as error:
        raise OutputError(
            f"Cannot make the folder {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error


def _clean(name: str) -> str:
    """A name that is valid on every file system."""
    name = _UNSAFE.sub("_", name)
    while len(os.fsencode(name)) > _MOST_BYTES:
        name = name[:-1]
    return name.strip(" .") or "_"


def _encode(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(["" if value is None or value != value else value for value in row] for row in rows)  # noqa: PLR0124 - NaN
    return stream.getvalue()
