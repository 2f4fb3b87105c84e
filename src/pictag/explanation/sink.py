r"""Writes the heatmap of one image after another, and a row about each.

    {"source": "a.jpg", "label": "tabby, tabby cat", "score": 0.93, "index": 281, "method": "activation",
     "seen": 0.54, "heatmap": "a-explained.png"}
    {"source": "torn.jpg", "error": {"kind": "CorruptImage", "message": "…"}}

``seen`` is the share of the image that the model saw.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pictag.errors import OutputError, PictagError, shorten
from pictag.explanation.heatmap import METHODS, draw_heatmap
from pictag.records import Failure, Label
from pictag.replacement import replace_file

if TYPE_CHECKING:
    from rich.text import Text

    from pictag.pipelines.score_map import ScoreMap
    from pictag.records import Prediction
    from pictag.sinks.rows import Rows

_NAME_BYTES = 200  # of an image's name in that of its heatmap; file systems allow 255 in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A heatmap as a PNG file, and what it shows; ``seen`` is the share of the image that the model saw."""

    label: Label
    method: Literal["activation", "occlusion"]
    seen: float
    png: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedImage:
    """One image with its explanation and the file of the heatmap, or the failure."""

    source: str
    explanation: Explanation | None = None
    heatmap: Path | None = None
    error: Failure | None = None


def make_explanation(score_map: ScoreMap, *, model: str, percent: bool) -> Explanation:
    """The heatmap of a map, as a file's content."""
    stream = io.BytesIO()
    draw_heatmap(score_map, model=model, percent=percent).save(stream, "PNG")
    return Explanation(
        label=score_map.label,
        method=score_map.method,
        seen=float(np.isfinite(score_map.values).mean()),
        png=stream.getvalue(),
    )


class ExplanationSink:
    """A sink of predictions whose ``observed`` is an `Explanation`.

    Heatmaps are written to ``output`` if that is a file's name, and otherwise into the folder ``output``, as
    NAME-explained.png; if several images have the same name, NAME-explained-2.png and so on. A file that
    exists is only replaced with ``overwrite``. If a heatmap can't be written, its image fails;
    ``failed`` counts these.
    """

    def __init__(self, output: Path, rows: Rows[ExplainedImage], *, overwrite: bool = False) -> None:
        self.failed = 0
        self._output = output
        self._rows = rows
        self._overwrite = overwrite
        self._written: set[Path] = set()

    def write(self, prediction: Prediction) -> None:
        """Write the heatmap and the row of one image."""
        source, explanation, error = prediction.source, prediction.observed, prediction.error
        path = None
        if error is None:
            try:
                path = self._write_heatmap(source, explanation)
            except PictagError as reason:
                self.failed += 1
                error = Failure(kind=type(reason).__name__, message=str(reason))
        if error is not None:
            self._rows.write(ExplainedImage(source=source, error=error))
        else:
            self._rows.write(ExplainedImage(source=source, explanation=explanation, heatmap=path))

    def close(self) -> None:
        """Finish the rows."""
        self._rows.close()

    def _write_heatmap(self, source: str, explanation: Explanation) -> Path:
        path = first = name_heatmap(source, self._output)
        if path in self._written and path == self._output:
            raise OutputError(f"{shorten(path)} has the heatmap of another image. Use a folder as --output.")
        number = 1
        while path in self._written:
            number += 1
            path = first.with_stem(f"{first.stem}-{number}")
        if path.exists() and not self._overwrite:
            raise OutputError(f"{shorten(path)} already exists. Use --overwrite to replace it.")
        with replace_file(path) as stream:
            stream.write(explanation.png)
        self._written.add(path)
        return path


def name_heatmap(source: str, output: Path) -> Path:
    """The file of an image's heatmap.

    >>> name_heatmap("photos/cat.jpg", Path("heatmaps")).as_posix()
    'heatmaps/cat-explained.png'
    >>> name_heatmap("photos/cat.jpg", Path("heat.png")).as_posix()
    'heat.png'
    """
    if output.suffix.lower() == ".png":
        return output
    name = Path(source.partition("?")[0]).stem if source[:1] != "<" else "image"
    while len(os.fsencode(name)) > _NAME_BYTES:
        name = name[:-1]
    return output / f"{name or 'image'}-explained.png"


def draw_explained(image: ExplainedImage, *, percent: bool) -> list[Text]:
    """The lines of a table about one image; ``percent`` is False for scores that aren't probabilities."""
    from rich.text import Text

    from pictag.sinks.table import draw_head

    rows = draw_head(image.source, image.error)
    found = image.explanation
    if found is not None:
        score = f"{found.label.score:.1%}" if percent else f"{found.label.score:.4g}"
        seen = "" if found.seen > 0.995 else f", the model saw {found.seen:.0%} of the image"
        rows.append(Text(f"  {shorten(found.label.label)}  {score}"))
        rows.append(Text(f"  {METHODS[found.method]}{seen}", style="dim"))
        rows.append(Text(f"  {shorten(image.heatmap)}", style="dim"))
    return rows


def describe_explained(image: ExplainedImage) -> dict[str, Any]:
    """One image as JSON's own types."""
    entry: dict[str, Any] = {"source": image.source}
    if image.explanation is None:
        assert image.error is not None
        return entry | {"error": {"kind": image.error.kind, "message": image.error.message}}
    found = image.explanation
    return entry | {
        "label": found.label.label,
        "score": found.label.score,
        "index": found.label.index,
        "method": found.method,
        "seen": round(found.seen, 4),
        "heatmap": str(image.heatmap),
    }
