"""From a reference to a model: files found and checked, labels and preprocessing read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pictag.errors import ModelError, ModelFileMissing
from pictag.models.card import ModelCard
from pictag.models.digest import is_digest, is_sha256
from pictag.models.files import (
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    ModelFiles,
    read_json,
    read_optional_json,
)
from pictag.models.folder import embedded_folder, find_file, find_folder
from pictag.models.graph_file import GraphFacts, Quantization, read_graph_file
from pictag.models.labels import ProblemType, read_labels, read_problem_type
from pictag.models.options import DownloadProgress, LoadOptions, OnProgress
from pictag.models.reference import ModelRef
from pictag.models.standalone_onnx import Layout, Outputs, read_standalone_onnx
from pictag.models.weights import check_dtype
from pictag.preprocess.reader import read_spec
from pictag.preprocess.spec import PreprocessSpec

__all__ = ["DownloadProgress", "LoadOptions", "Model", "find_files", "load_model"]

_CARD = "card.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as data: everything but the session that runs it.

    ``weights`` is opened by this very path (in the Hub's cache it is a link, and files that the graph refers
    to lie beside the link). ``labels`` are in the order of the output, ``outputs`` says whether the graph
    gives logits or has its softmax or sigmoid in it. ``quantization`` says whether it computes in 8-bit
    integers: with ranges that were calibrated (``static``), or that each batch sets anew (``dynamic``).
    """

    ref: ModelRef
    weights: Path
    config: Mapping[str, Any]
    labels: tuple[str, ...]
    spec: PreprocessSpec
    card: ModelCard
    problem_type: ProblemType
    outputs: Outputs
    layout: Layout
    quantization: Quantization


def load_model(
    ref: ModelRef, options: LoadOptions | None = None, on_progress: OnProgress | None = None
) -> Model:
    """Find, fetch, check and read a model; nothing is run yet.

    ``on_progress`` is told how far each download is. Raises an error of the ``ModelError`` branch, or
    `OptionError`.

    >>> from pictag.models.reference import parse_reference
    >>> model = load_model(parse_reference("embedded"))
    >>> len(model.labels)
    200
    """
    options = options or LoadOptions()
    files = find_files(ref, options, on_progress)
    graph = read_graph_file(files.weights)
    if (files.folder / CONFIG).is_file():
        return _read_described(ref, files, graph)
    plain = read_standalone_onnx(files, graph)
    return Model(
        ref=ref,
        weights=files.weights,
        config={},
        labels=plain.labels,
        spec=plain.spec,
        card=_make_card(
            ref,
            files,
            labels=plain.labels,
            spec=plain.spec,
            problem_type=plain.problem_type,
            outputs=plain.outputs,
            config={},
        ),
        problem_type=plain.problem_type,
        outputs=plain.outputs,
        layout=plain.layout,
        quantization=graph.quantization,
    )


def find_files(ref: ModelRef, options: LoadOptions, on_progress: OnProgress | None = None) -> ModelFiles:
    """The files of a model, fetched and checked where they come from the Hub, but not read."""
    check_dtype(options.dtype)
    if ref.kind == "hub":
        # huggingface_hub takes a tenth of a second to import: only who names a model of the Hub waits for it.
        from pictag.models.hub import fetch_model

        return fetch_model(ref, options, on_progress)
    if ref.kind == "embedded":
        folder = embedded_folder()
        if not (folder / CONFIG).is_file():
            raise ModelFileMissing(
                "This installation of pictag has no embedded model in it. Install it anew."
            )
        return find_folder(folder, options, name=ref.name)
    assert ref.path is not None
    if ref.kind == "file":
        return find_file(ref.path, options)
    return find_folder(ref.path, options, name=ref.name)


def _read_described(ref: ModelRef, files: ModelFiles, graph: GraphFacts) -> Model:
    config = read_json(files.folder / CONFIG)
    where = str(files.folder / CONFIG) if ref.kind != "hub" else f"{CONFIG} of {ref}"
    labels = read_labels(config, where=where)
    problem_type = read_problem_type(config, where=where)
    try:
        spec = read_spec(
            config=config,
            preprocessor=read_optional_json(files.folder / PREPROCESSOR),
            processor=read_optional_json(files.folder / PROCESSOR),
        )
    except ModelError as error:
        error.add_note(f"Model: {ref}")
        raise
    # An export for transformers gives logits. A graph that ends in its own softmax would be flattened by a
    # second one.
    outputs: Outputs = "probabilities" if graph.activation else "logits"
    return Model(
        ref=ref,
        weights=files.weights,
        config=config,
        labels=labels,
        spec=spec,
        card=_make_card(
            ref, files, labels=labels, spec=spec, problem_type=problem_type, outputs=outputs, config=config
        ),
        problem_type=problem_type,
        outputs=outputs,
        layout="NCHW",
        quantization=graph.quantization,
    )


def _make_card(
    ref: ModelRef,
    files: ModelFiles,
    *,
    labels: tuple[str, ...],
    spec: PreprocessSpec,
    problem_type: ProblemType,
    outputs: Outputs,
    config: Mapping[str, Any],
) -> ModelCard:
    details = dict(read_optional_json(files.folder / _CARD) or {}) if ref.kind != "hub" else {}
    model_type = config.get("model_type")
    digest = next((file.digest for file in files.files if file.path == files.choice.path), None)
    stated = details.get("files")
    fact = stated.get(files.choice.path) if isinstance(stated, Mapping) else None
    if digest is None and isinstance(fact, Mapping) and is_digest(fact.get("sha256")):
        digest = str(fact["sha256"])
    licence = files.licence or details.get("licence") or details.get("license")
    return ModelCard(
        name=str(ref),
        kind=ref.kind,
        revision=files.revision,
        model_type=model_type if isinstance(model_type, str) else None,
        weights=files.choice.path,
        dtype=files.choice.dtype,
        why=files.choice.why,
        sha256=digest if digest is not None and is_sha256(digest) else None,
        files=files.files,
        licence=licence if isinstance(licence, str) else None,
        label_count=len(labels),
        problem_type=problem_type,
        outputs=outputs,
        processor=spec.processor,
        preprocessing=spec.describe(),
        notes=files.notes,
        details=details,
    )
