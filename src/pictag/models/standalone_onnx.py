"""An ``.onnx`` file without a ``config.json``: its labels and preprocessing.

``labels.txt`` beside the file has one label per line, in the order of the output; a graph that Ultralytics
exported contains its labels. ``pictag.toml`` says how images are preprocessed, and comes before the graph's
metadata (`pictag.models.graph_metadata`). Every key is optional:

    size = 224                      # or [height, width]; by default the graph's input size, else 224
    layout = "NCHW"                 # or "NHWC"; by default the layout of the graph's input
    channels = 3                    # 1 for grayscale
    channel_order = "RGB"           # or "BGR"
    scale = 0.00392156862745098     # factor for pixels of 0 to 255; 1 leaves them unchanged
    mean = [0.485, 0.456, 0.406]    # subtracted after scaling: one number or one per channel
    std = [0.229, 0.224, 0.225]     # divided by
    resample = "bilinear"           # nearest, bilinear, bicubic, lanczos, box, hamming
    crop = 0.875                    # center crop's share of the image; true: largest square; false: squeeze
    output = "logits"               # or "probabilities"; by default what the graph shows
    output_name = "scores"          # the output that holds the scores; by default by type, shape and name
    problem_type = "single_label_classification"   # or multi_label_classification, regression
    thresholds = { cat = 0.6 }      # labels below their threshold are left out
    temperature = 1.0               # logits are divided by it

The defaults are the usual ImageNet preprocessing (a crop of 224 from 256, ImageNet's mean and deviation). If
neither file nor metadata says anything about it, that is an assumption, which the description names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

from pictag.errors import InvalidModel, ModelFileMissing, shorten, suggest
from pictag.models.files import ModelFiles, read_text
from pictag.models.folder import LABELS, SETTINGS
from pictag.models.graph_facts import find_layout
from pictag.models.graph_file import Graph
from pictag.models.graph_metadata import read_metadata
from pictag.models.labels import ProblemType, read_problem_type
from pictag.models.tagger import TAGGER_TYPE, read_tagger_spec, read_tags
from pictag.options import Layout
from pictag.preprocess.spec import PreprocessSpec, plain_spec

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_IMAGE_KEYS = ("size", "layout", "channels", "channel_order", "scale", "mean", "std", "resample", "crop")
_STYLE_KEYS = ("channel_order", "scale", "mean", "std", "resample", "crop")  # a graph doesn't tell these
_KEYS = (*_IMAGE_KEYS, "output", "output_name", "problem_type", "thresholds", "temperature")


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """How a graph is used: its labels, its preprocessing, and the layout of its input.

    ``assumptions`` are sentences about what its files don't say, and ``notes`` about where the rest is from.
    """

    labels: tuple[str, ...]
    spec: PreprocessSpec
    layout: Layout
    problem_type: ProblemType
    assumptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_standalone_onnx(files: ModelFiles) -> Description:
    """Describe an ``.onnx`` file without a ``config.json``. Raises `ModelFileMissing` or `InvalidModel`."""
    graph = files.graph
    settings_path, labels_path = files.folder / SETTINGS, files.folder / LABELS
    settings, where = read_settings_file(settings_path), str(settings_path)
    exported = read_metadata(graph.metadata)
    labels = read_labels_beside(files) or (None if exported is None else exported.labels)
    if labels is None:
        raise ModelFileMissing(
            f"{shorten(files.weights)} has no {LABELS} beside it (one label per line), and no config.json. "
            "Add one of them.",
            filename=labels_path,
        )
    layout = read_layout(settings, graph, where)
    known = {} if exported is None else exported.settings
    tagger = None if says_how_images_are(settings) else read_tagger_spec(files)
    if tagger is not None:
        problem_type = read_problem_type(settings, where=where, default=TAGGER_TYPE)
        return Description(labels=labels, spec=tagger, layout=layout, problem_type=problem_type)
    said_in = where if settings else "the graph's metadata"
    spec = _read_spec({**known, **_read_input(graph, layout), **settings}, where=said_in)
    problem_type = read_problem_type(settings, where=where)
    name, steps = (
        shorten(files.weights.name, 80),
        "; ".join((*spec.describe(), problem_type.replace("_label_", "-label "))),
    )
    assumptions, notes = [], []
    if exported is not None:
        notes.append(f"preprocessing from the metadata that {exported.source} wrote into the graph")
    if not any(key in settings for key in _IMAGE_KEYS) and (exported is None or exported.guess):
        unsaid = "how images are preprocessed" if exported is None else exported.guess
        assumptions.append(
            f"{name} doesn't say {unsaid}. pictag assumes: {steps}. If that is wrong, labels are wrong; "
            f"describe it in a {SETTINGS} beside the file."
        )
    return Description(
        labels=labels,
        spec=spec,
        layout=layout,
        problem_type=problem_type,
        assumptions=tuple(assumptions),
        notes=tuple(notes),
    )


def read_described_spec(
    files: ModelFiles, settings: Mapping[str, Any], layout: Layout, *, where: str
) -> tuple[PreprocessSpec, str | None] | None:
    """The preprocessing in a ``pictag.toml``, and a sentence about what it leaves open.

    ``None`` if it says nothing about preprocessing. Raises `InvalidModel`.
    """
    if not says_how_images_are(settings):
        return None
    spec = _read_spec({**_read_input(files.graph, layout), **settings}, where=where)
    unsaid = [key for key in _STYLE_KEYS if key not in settings]
    if not unsaid:
        return spec, None
    return spec, (
        f"{shorten(where)} replaces the model's other files on how images are preprocessed, but doesn't say "
        f"{', '.join(unsaid)}. pictag assumes: {'; '.join(spec.describe())}. If that is wrong, labels are "
        "wrong; add the missing keys."
    )


def says_how_images_are(settings: Mapping[str, Any]) -> bool:
    """Whether a ``pictag.toml`` has a key about preprocessing; the layout is about the graph."""
    return any(key in settings for key in _IMAGE_KEYS if key != "layout")


def read_layout(settings: Mapping[str, Any], graph: Graph, where: str) -> Layout:
    """The layout of the graph's input: the one in ``pictag.toml``, or what its shape says."""
    return cast("Layout", _choose(settings, "layout", get_args(Layout), find_layout(graph), where))


def read_labels_beside(files: ModelFiles) -> tuple[str, ...] | None:
    """The labels in ``labels.txt`` or ``selected_tags.csv``, ``None`` without these files."""
    if files.has(LABELS):
        return read_labels_file(files.folder / LABELS)
    return read_tags(files)


def read_labels_file(path: Path) -> tuple[str, ...]:
    """One label per line. Only the last lines may be empty, because an empty line would shift the labels."""
    labels = tuple(line.strip() for line in read_text(path).rstrip().split("\n"))
    if "" in labels:
        raise InvalidModel(
            f"Line {labels.index('') + 1} of {shorten(path)} is empty; each line is the label of one output."
        )
    return labels


def read_settings_file(path: Path) -> Mapping[str, Any]:
    """The keys of a ``pictag.toml``, none without the file. Raises `InvalidModel` for unknown keys."""
    if not path.is_file():
        return {}
    import tomllib  # takes 3 ms, and few models have the file

    text = read_text(path)
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidModel(f"{shorten(path)} is not TOML: {shorten(error, 80)}.") from error
    for key in data:
        if key not in _KEYS:
            hint = suggest(key, _KEYS) or f" The keys are: {', '.join(_KEYS)}."
            raise InvalidModel(f"{shorten(path)} has an unknown key {shorten(key, 60)!r}.{hint}")
    return data


def _read_spec(settings: Mapping[str, Any], *, where: str) -> PreprocessSpec:
    channels, size = settings.get("channels", 3), settings.get("size", 224)
    size = (size, size) if isinstance(size, int) and not isinstance(size, bool) else size
    order = settings.get("channel_order", "RGB")

    def read_constants(key: str, imagenet: tuple[float, ...]) -> Sequence[Any]:
        if key not in settings:
            return (sum(imagenet) / len(imagenet),) if channels == 1 else imagenet
        values = settings[key] if isinstance(settings[key], list) else [settings[key]]
        # The file has them in channel_order, the spec always as RGB.
        return values[::-1] if order == "BGR" else values

    return plain_spec(
        size=size,
        mean=read_constants("mean", _MEAN),
        std=read_constants("std", _STD),
        scale=settings.get("scale", 1 / 255),
        channel_order=order,
        resample=settings.get("resample", "bilinear"),
        crop=settings.get("crop", 0.875),
        channels=channels,
        file=where,
    )


def _read_input(graph: Graph, layout: Layout) -> dict[str, Any]:
    """What the shape of the graph's input says, as keys of ``pictag.toml``."""
    shape = graph.input_shape
    if shape is None or len(shape) != 4:
        return {}
    channels, height, width = shape[1:] if layout == "NCHW" else (shape[3], shape[1], shape[2])
    sides = {} if height is None else {"size": (height, width or height)}
    return {"channels": 1 if channels == 1 else 3, **sides} if channels else sides


def _choose(settings: Mapping[str, Any], key: str, values: Sequence[str], default: str, where: str) -> str:
    value = settings.get(key, default)
    if value not in values:
        raise InvalidModel(
            f"{key} in {shorten(where)} is {shorten(value, 60)!r}, not one of {', '.join(values)}."
        )
    return str(value)
