"""From options to a loaded model and the engine to run it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from pictag.engines.providers import check_device
from pictag.engines.quantize_target import has_fast_int8
from pictag.engines.registry import ENGINE_NAMES, choose_engine, list_installed
from pictag.errors import OptionError, PictagWarning, shorten
from pictag.models.graph_facts import EmbeddingTensor, find_embedding
from pictag.models.load import LoadOptions, load_model
from pictag.models.reference import DEFAULT_MODEL, parse_reference
from pictag.options import check_choice
from pictag.pipelines.outputs import require_output
from pictag.pipelines.runners import EngineSetup, Runners

if TYPE_CHECKING:
    from pictag.models.load import Model
    from pictag.models.reference import ModelRef
    from pictag.options import PipelineOptions


def open_runners(options: PipelineOptions) -> Runners:
    """Load the model and choose its engine, once: the number of images never changes it.

    Warns with `PictagWarning` about what the model's files don't say. Raises an error of the ``ModelError``
    branch, `OptionError` or `MissingExtra`.
    """
    runners = _open_runners(options)
    for assumption in runners.model.card.assumptions:
        warnings.warn(assumption, PictagWarning, stacklevel=4)
    return runners


def _open_runners(options: PipelineOptions) -> Runners:
    _check_engine(options)
    ref = parse_reference(
        DEFAULT_MODEL if options.model is None else options.model, revision=options.revision
    )
    asked = options.engine if isinstance(options.engine, str) else "onnxruntime"
    model = load(ref, options, engine="openvino" if asked == "openvino" else "onnxruntime")
    needs_embedding = options.embeddings or options.embedding_output is not None
    if not isinstance(options.engine, str):
        own = EmbeddingTensor(name="run()[1]", axis=None) if needs_embedding else None
        return Runners(model, EngineSetup(engine=options.engine, embedding=own), options)
    choice = choose_engine(
        asked,
        quantization=model.quantization,
        device=options.device,
        installed=list_installed(),
        has_fast_int8=has_fast_int8(),
    )
    if choice.name == "openvino" != asked:
        model = load(ref, options, engine="openvino")  # the model may have weights for this engine
    embedding = None
    if needs_embedding:
        embedding = find_embedding(model.graph, require_output(model), asked=options.embedding_output)
    return Runners(model, EngineSetup(engine=choice.name, embedding=embedding), options)


def load(ref: ModelRef, options: PipelineOptions, *, engine: str) -> Model:
    """Find, download, verify and read the model, with the weights that suit the engine."""
    load_options = LoadOptions(
        dtype=options.dtype,
        model_file=options.model_file,
        output=options.output,
        output_name=options.output_name,
        cache_dir=options.cache_dir,
        local_files_only=options.local_files_only,
        token=options.token,
        device=options.device,
        engine=engine,
    )
    return load_model(ref, load_options, options.progress)


def _check_engine(options: PipelineOptions) -> None:
    """Reject an invalid engine or device before a model is downloaded."""
    if not isinstance(options.engine, str):
        if not callable(getattr(options.engine, "run", None)):
            raise OptionError(
                f"engine={shorten(repr(options.engine))} is not an engine. Use 'auto', the name of an engine "
                "or an object of the protocol pictag.engines.base.Engine."
            )
        return
    check_choice("engine", options.engine, ("auto", *ENGINE_NAMES))
    check_device(options.device, options.engine)
    if options.device != "cpu":
        from pictag.engines.onnxruntime import check_installed

        check_installed(options.device)
