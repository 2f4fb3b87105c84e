"""Load a model: find and check its files, and read its labels and preprocessing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictag.errors import InvalidModel, ModelError, ModelFileMissing
from pictag.models.card import ModelCard
from pictag.models.checksums import measure_sha256, read_card_checksums
from pictag.models.files import (
    CARD,
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    ModelFiles,
    read_json,
    read_optional_json,
)
from pictag.models.folder import DESCRIPTIONS, SETTINGS, embedded_folder, find_file, find_folder
from pictag.models.graph_facts import find_quantization
from pictag.models.graph_file import Graph
from pictag.models.knowledge import Knowledge, read_knowledge
from pictag.models.labels import ProblemType, read_labels, read_problem_type
from pictag.models.options import LoadOptions, OnProgress
from pictag.models.reference import EMBEDDED, ModelRef
from pictag.models.scores import Scores, find_scores
from pictag.models.standalone_onnx import (
    Description,
    read_described_spec,
    read_labels_beside,
    read_layout,
    read_settings_file,
    read_standalone_onnx,
)
from pictag.models.tagger import TAGGER_TYPE, read_tagger_spec
from pictag.models.weights import check_dtype
from pictag.options import Layout, Outputs, Quantization
from pictag.preprocess.reader import read_spec
from pictag.preprocess.spec import PreprocessSpec
from pictag.transformers_names import explain_attribute

__all__ = ["LoadOptions", "Model", "find_files", "hash_weights", "load_model"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model as data: everything but the session that runs it.

    ``weights`` must be opened by this path (in the Hub's cache it is a link, and the files that the graph
    refers to are beside the link). ``config_json`` is its ``config.json``. ``labels`` are in the order of the
    output with the scores, ``output_name`` (``None`` if none fits, or several do: ``card.outputs_why`` has
    the reason). ``outputs`` says whether it has logits or probabilities (``None`` if that isn't known before
    the graph runs: then `pictag.pipelines.outputs` finds it). ``quantization`` says whether the graph
    computes in 8-bit integers, with calibrated ranges (``static``) or with ranges that each batch sets
    (``dynamic``). ``graph`` has its nodes.
    """

    ref: ModelRef
    weights: Path
    config_json: Mapping[str, Any]
    labels: tuple[str, ...]
    spec: PreprocessSpec
    card: ModelCard
    problem_type: ProblemType
    output_name: str | None
    outputs: Outputs | None
    layout: Layout
    quantization: Quantization
    graph: Graph = field(repr=False)

    if not TYPE_CHECKING:  # with it, a type checker would accept any name

        def __getattr__(self, name):
            raise explain_attribute(self, name)


def load_model(
    ref: ModelRef, options: LoadOptions | None = None, on_progress: OnProgress | None = None
) -> Model:
    """Find, fetch, check and read a model, without running it.

    ``on_progress`` is called as files are downloaded. Raises a `ModelError` or an `OptionError`.

    >>> from pictag.models.reference import parse_reference
    >>> model = load_model(parse_reference("embedded"))
    >>> len(model.labels)
    200
    """
    options = options or LoadOptions()
    files = find_files(ref, options, on_progress)
    config = read_optional_json(files.folder / CONFIG)
    described = read_standalone_onnx(files) if config is None else _read_description(ref, files, config)
    details = {} if ref.kind == "hub" else dict(read_optional_json(files.folder / CARD) or {})
    sha256 = _find_sha256(files, details)
    knowledge = read_knowledge(ref, files, config or {}, sha256=sha256, labels=described.labels)
    scores = _find_scores(files, described, knowledge, options)
    return Model(
        ref=ref,
        weights=files.weights,
        config_json=config or {},
        labels=described.labels,
        spec=described.spec,
        card=_make_card(
            ref,
            files,
            described,
            config or {},
            scores=scores,
            knowledge=knowledge,
            details=details,
            sha256=sha256,
        ),
        problem_type=described.problem_type,
        output_name=scores.name,
        outputs=scores.outputs,
        layout=described.layout,
        quantization=find_quantization(files.graph),
        graph=files.graph,
    )


def find_files(ref: ModelRef, options: LoadOptions, on_progress: OnProgress | None = None) -> ModelFiles:
    """Find the files of a model, without reading them.

    Those of a model on the Hub are fetched and checked first, and a built-in model is converted.
    """
    check_dtype(options.dtype)
    if ref.kind == "hub":
        # Importing huggingface_hub takes 0.1 s, which only models on the Hub need.
        from pictag.models.hub import fetch_model

        return fetch_model(ref, options, on_progress)
    if ref.kind == "file":
        assert ref.path is not None
        return find_file(ref.path, options)
    if ref.kind == "built-in" and ref.name != EMBEDDED:
        from pictag.models.efficientnet_lite import find_efficientnet  # few models need it

        return find_efficientnet(ref.name, options)
    folder = embedded_folder() if ref.kind == "built-in" else ref.path
    assert folder is not None
    if ref.kind == "built-in" and not (folder / CONFIG).is_file():
        raise ModelFileMissing("The embedded model is missing from this installation. Reinstall pictag.")
    return find_folder(folder, options, name=ref.name)


def _read_description(ref: ModelRef, files: ModelFiles, config: Mapping[str, Any]) -> Description:
    where = f"{CONFIG} of {ref}" if ref.kind == "hub" else str(files.folder / CONFIG)
    settings_path = files.folder / SETTINGS
    settings = read_settings_file(settings_path) if ref.kind in ("folder", "file") else {}
    said_in = str(settings_path)
    layout = read_layout(settings, files.graph, said_in)
    described = read_described_spec(files, settings, layout, where=said_in)
    tagger = None if described else read_tagger_spec(files)
    try:
        spec, assumption = described or (tagger or _read_spec(files, config), None)
    except ModelError as error:
        error.add_note(f"Model: {ref}")
        raise
    is_typed = "problem_type" in settings
    return Description(
        labels=read_labels(config, where=where, beside=read_labels_beside(files)),
        spec=spec,
        layout=layout,
        problem_type=read_problem_type(
            settings if is_typed else config,
            where=said_in if is_typed else where,
            default="single_label_classification" if tagger is None else TAGGER_TYPE,
        ),
        assumptions=() if assumption is None else (assumption,),
    )


def _read_spec(files: ModelFiles, config: Mapping[str, Any]) -> PreprocessSpec:
    return read_spec(
        config=config,
        preprocessor=_read_listed(files, PREPROCESSOR),
        processor=_read_listed(files, PROCESSOR),
    )


def _read_listed(files: ModelFiles, name: str) -> Mapping[str, Any] | None:
    return read_json(files.folder / name) if files.has(name) else None


def _find_scores(
    files: ModelFiles, described: Description, knowledge: Knowledge, options: LoadOptions
) -> Scores:
    try:
        scores = find_scores(
            files.graph,
            label_count=len(described.labels),
            name=options.output_name or knowledge.output_name,
            outputs=options.output or knowledge.output,
            source="output=" if options.output else knowledge.sources.get("output", ""),
        )
    except InvalidModel as error:  # an error of running it, not of looking at it
        return Scores(name=None, outputs=None, why=str(error))
    if scores.outputs is None and described.problem_type == "regression":
        return replace(scores, outputs="logits", why="a regression has no activation")
    return scores


def _find_sha256(files: ModelFiles, details: Mapping[str, Any]) -> str | None:
    weights = files.choice.path
    checked = {file.path: file.sha256 for file in files.files}
    return checked[weights] or read_card_checksums(details).get(weights)


def _make_card(
    ref: ModelRef,
    files: ModelFiles,
    described: Description,
    config: Mapping[str, Any],
    *,
    scores: Scores,
    knowledge: Knowledge,
    details: Mapping[str, Any],
    sha256: str | None,
) -> ModelCard:
    model_type = config.get("model_type")
    licence = files.licence or details.get("licence") or details.get("license")
    return ModelCard(
        name=str(ref),
        kind=ref.kind,
        revision=files.revision,
        model_type=model_type if isinstance(model_type, str) else None,
        weights=files.choice.path,
        dtype=files.choice.dtype,
        why=files.choice.why,
        sha256=sha256,
        files=files.files,
        licence=licence if isinstance(licence, str) else None,
        label_count=len(described.labels),
        problem_type=described.problem_type,
        output_name=scores.name,
        outputs=scores.outputs,
        outputs_why=scores.why,
        processor=described.spec.processor,
        preprocessing=described.spec.describe(),
        notes=(*files.notes, *described.notes),
        assumptions=described.assumptions,
        knowledge=knowledge,
        details=details,
    )


def hash_weights(model: Model) -> str:
    """The sha256 of the weights, or of all their files' sha256 if there are several."""
    from hashlib import sha256  # takes 5 ms, and classifying doesn't need it

    folder = model.weights.parents[model.card.weights.count("/")]
    found = [
        # A folder's files may have changed since its card was written; those of the Hub were checked.
        file.sha256 or measure_sha256(folder / file.path)
        for file in model.card.files
        if file.path not in DESCRIPTIONS
    ]
    return found[0] if len(found) == 1 else sha256("\n".join(found).encode()).hexdigest()
