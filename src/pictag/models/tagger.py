"""The taggers of SmilingWolf (WD 1.4, wd-*-tagger-v3) and models made like them.

Their ``.onnx`` files take images as [N, height, width, 3]: pixels of 0 to 255, blue first, of the whole image
on a white square (https://huggingface.co/spaces/SmilingWolf/wd-tagger/blob/main/app.py). A ``config.json``
beside them describes the PyTorch model, which takes other pixels. Their labels are in ``selected_tags.csv``,
one per row, in the order of the output.
"""

from __future__ import annotations

from pictag.errors import InvalidModel, shorten
from pictag.models.files import ModelFiles, read_text
from pictag.models.folder import TAGS
from pictag.models.graph_facts import find_layout
from pictag.models.labels import ProblemType
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import FlipChannels, PadToSquare, Resize

TAGGER_TYPE: ProblemType = "multi_label_classification"
_NAME = "name"  # of the column with the labels


def read_tags(files: ModelFiles) -> tuple[str, ...] | None:
    """The labels in a model's ``selected_tags.csv``, ``None`` without the file. Raises `InvalidModel`."""
    if not files.has(TAGS):
        return None
    path = files.folder / TAGS
    import csv  # few models have the file
    import io

    try:
        rows = list(csv.DictReader(io.StringIO(read_text(path))))
    except csv.Error as error:
        raise InvalidModel(f"{shorten(path)} is not CSV: {shorten(error)}.") from error
    if not rows or any(not row.get(_NAME) for row in rows):
        raise InvalidModel(f"{shorten(path)} has no column {_NAME!r} with a label in each row.")
    return tuple(row[_NAME] for row in rows)


def read_tagger_spec(files: ModelFiles) -> PreprocessSpec | None:
    """The preprocessing of such a tagger, ``None`` for any other model."""
    shape = files.graph.input_shape
    if not files.has(TAGS) or shape is None or find_layout(files.graph) != "NHWC":
        return None
    edge = shape[1]
    if edge is None or shape[1:] != (edge, edge, 3):
        return None
    return PreprocessSpec(
        processor="wd-tagger",
        alpha="white",
        steps=(PadToSquare(), Resize(height=edge, width=edge, resample="bicubic"), FlipChannels()),
    )
