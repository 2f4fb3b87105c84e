"""Writes a taught model as an ordinary model folder: graph, labels, the base's preprocessing, a card."""

from __future__ import annotations

import json
import shutil
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from pictag.errors import InvalidModel, shorten
from pictag.models.checksums import measure_sha256
from pictag.models.external_data import check_external_data
from pictag.models.files import CONFIG, PREPROCESSOR, PROCESSOR
from pictag.models.folder import LABELS, SETTINGS, TAGS
from pictag.models.load import load_model
from pictag.models.output_folder import folder_of, write_card
from pictag.models.reference import parse_reference
from pictag.models.standalone_onnx import read_settings_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pictag.models.graph_facts import EmbeddingTensor
    from pictag.models.load import Model
    from pictag.teaching.fit import Head

WEIGHTS = "onnx/model.onnx"
_TOOLS = ("pictag", "numpy", "onnx", "scikit-learn", "scipy")
_CARRIED = (PREPROCESSOR, PROCESSOR, TAGS, "LICENSE", "LICENSE.txt", "NOTICE")
# Keys of the base's files about its own labels and scores.
_LABEL_KEYS = (
    "id2label", "label2id", "num_labels", "num_classes", "labels", "label_names", "label_descriptions",
    "problem_type", "pictag",
)  # fmt: skip
_SCORE_SETTINGS = ("output", "output_name", "problem_type", "thresholds", "temperature")


def write_model(
    folder: Path,
    *,
    base: Model,
    embedding: EmbeddingTensor,
    rank: int,
    head: Head,
    labels: Sequence[str],
    is_multi_label: bool,
    teaching: Mapping[str, Any],
) -> None:
    """Write all files of the model into an empty folder, and check that pictag reads them as intended.

    ``embedding`` is the base's tensor and ``rank`` its number of axes. ``teaching`` becomes part of the card.
    Raises `InvalidModel` for a base that can't be used, and ``OSError``.
    """
    from pictag.teaching.head_graph import OUTPUT, replace_head

    weights = folder / WEIGHTS
    weights.parent.mkdir()
    external = check_external_data(base.weights, base.graph.external)
    replace_head(
        base.weights,
        dict(zip(base.graph.external, external, strict=True)),
        embedding=embedding.name,
        averaged=_find_averaged(embedding.axis, rank),
        head=_to_float32(head.weights),
        bias=_to_float32(head.bias),
        output=weights,
    )
    _describe(folder, base, labels, is_multi_label=is_multi_label)
    files = sorted(path for path in weights.parent.iterdir())
    licence = {} if base.card.licence is None else {"licence": base.card.licence}
    card = licence | {
        "output": "logits",
        "output_name": OUTPUT,
        "files": {
            path.relative_to(folder).as_posix(): {
                "sha256": measure_sha256(path),
                "bytes": path.stat().st_size,
            }
            for path in files
        },
        "teaching": {
            **teaching,
            "base": describe_base(base),
            "tools": {name: next((d.version for d in distributions(name=name)), None) for name in _TOOLS},
        },
    }
    write_card(folder, card)
    _check(folder, base, labels, is_multi_label=is_multi_label)


def _find_averaged(axis: int | None, rank: int) -> tuple[int, ...]:
    """The axes of the tensor over which its mean is taken: all but the images and the features."""
    kept = (1 if rank == 4 else -1) if axis is None else axis
    return tuple(i for i in range(1, rank) if i != kept % rank)


def _to_float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype("float32")


def _describe(folder: Path, base: Model, labels: Sequence[str], *, is_multi_label: bool) -> None:
    """Write the base's preprocessing files, and the labels."""
    original = folder_of(base)
    for name in _CARRIED:
        if (original / name).is_file():
            shutil.copyfile(original / name, folder / name)  # follows the links of the Hub's cache
    kind = "multi_label_classification" if is_multi_label else "single_label_classification"
    settings = {
        key: value
        for key, value in read_settings_file(original / SETTINGS).items()
        if key not in _SCORE_SETTINGS
    }
    if (original / CONFIG).is_file():
        config = {
            key: value for key, value in base.config_json.items() if not _is_about_labels(key, value, base)
        } | {
            "id2label": {str(index): label for index, label in enumerate(labels)},
            "label2id": {label: index for index, label in enumerate(labels)},
            "problem_type": kind,
        }
        text = json.dumps(config, indent=2, ensure_ascii=False)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")
    else:
        (folder / LABELS).write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
        settings["problem_type"] = kind
    if settings:
        # Numbers, text and lists are written the same way in JSON and TOML.
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in settings.items()]
        (folder / SETTINGS).write_text("".join(lines), encoding="utf-8")


def _is_about_labels(key: str, value: object, base: Model) -> bool:
    """Whether an entry of ``config.json`` is about the base's labels: by its name, or one word per label."""
    is_list = isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    return key in _LABEL_KEYS or (is_list and len(value) == len(base.labels))  # type: ignore[arg-type]  # a list


def describe_base(base: Model) -> dict[str, Any]:
    """The base, without local paths. For a taught model, it is the base of that model."""
    teaching = base.card.details.get("teaching")
    if isinstance(teaching, dict) and isinstance(teaching.get("base"), dict):
        return dict(teaching["base"])
    names = {"folder": folder_of(base).resolve().name, "file": base.weights.name}
    return {
        "model": names.get(base.ref.kind, base.ref.name),
        "revision": base.card.revision,
        "weights": base.card.weights,
        "sha256": base.card.sha256 or measure_sha256(base.weights),
    }


def _check(folder: Path, base: Model, labels: Sequence[str], *, is_multi_label: bool) -> None:
    """Raise `InvalidModel` if pictag reads the files differently from what was intended."""
    model = load_model(parse_reference(folder))
    differing = [
        what
        for what, found, meant in (
            ("labels", model.labels, tuple(labels)),
            ("preprocessing", model.spec, base.spec),
            ("layout", model.layout, base.layout),
            ("output", model.output_name, "logits"),
            ("kind", model.problem_type.startswith("multi"), is_multi_label),
        )
        if found != meant
    ]
    if differing:
        raise InvalidModel(
            f"{shorten(base.card.name)} can't be taught: pictag would read the new model's "
            f"{', '.join(differing)} differently from the base's. Use another base."
        )
