"""A model's card as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pictag.engines.registry import EngineChoice
    from pictag.models.card import ModelCard
    from pictag.models.graph_facts import EmbeddingTensor
    from pictag.models.knowledge import Knowledge
    from pictag.models.load import Model


def describe_card(
    model: Model, graph: Mapping[str, Any], engine: EngineChoice, embedding: EmbeddingTensor | str
) -> Iterator[tuple[str, object]]:
    """Names and values in reading order, without unknown values.

    ``graph`` has the ``inputs`` and ``outputs`` of the opened graph, or an ``error``; ``embedding`` is the
    tensor, or the reason why it can't be found.
    """
    card = model.card
    lines: list[tuple[str, object]] = [
        ("model", card.name),
        ("revision", card.revision),
        ("type", card.model_type),
        ("licence", card.licence or "not stated"),
        ("weights", f"{card.weights}: {card.why}"),
        ("sha256", card.sha256),
        *(("note", note) for note in card.notes),
        *(("assumed", assumption) for assumption in card.assumptions),
        *(("file", f"{file.path} ({show_size(file.size)})") for file in card.files),
        *(("preprocessing", f"{number}. {step}") for number, step in enumerate(card.preprocessing, start=1)),
        ("layout", f"{model.layout}, float32 pixel values from a {model.spec.channels}-channel image"),
        *(("graph input", _tensor(tensor)) for tensor in graph.get("inputs", ())),
        *(("graph output", _tensor(tensor)) for tensor in graph.get("outputs", ())),
        ("scores", card.output_name and _describe_scores(card)),
        ("graph", graph.get("error")),
        ("embedding", embedding if isinstance(embedding, str) else f"the tensor {embedding.name}"),
        ("engine", f"{engine.name}: {engine.why}"),
        ("problem type", card.problem_type),
        *_describe_knowledge(card.knowledge),
        *_describe_details(card.details),
    ]
    return ((name, value) for name, value in lines if value is not None)


def _describe_scores(card: ModelCard) -> str:
    return f"{card.output_name}: {card.outputs or 'unknown'}, because {card.outputs_why}"


def show_size(size: int | None) -> str:
    """A number of bytes as text, such as ``3.7 MB``."""
    if size is None:
        return "size unknown"
    for unit, divisor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= divisor:
            return f"{size / divisor:.1f} {unit}"
    return f"{size} B"


def _describe_knowledge(knowledge: Knowledge) -> Iterator[tuple[str, object]]:
    """Thresholds and temperature with the file that each comes from."""
    for label, threshold in knowledge.thresholds.items():
        yield "threshold", f"{threshold:g} for {label} ({knowledge.sources['thresholds']})"
    if "temperature" in knowledge.sources:
        yield "temperature", f"{knowledge.temperature:g} ({knowledge.sources['temperature']})"


def _describe_details(details: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """The contents of a ``card.json`` beside the weights; values of an unexpected type are skipped."""
    yield "status", _text(details.get("status"))
    yield "source", _text(details.get("source"))
    data = _mapping(details.get("data"))
    yield from (("data", _text(data.get(key))) for key in ("name", "content", "terms"))
    yield "method", _text(details.get("method"))
    training = _mapping(details.get("training"))
    if _is_number(training.get("epochs")) and _is_number(training.get("minutes")):
        hardware = _text(training.get("hardware")) or "hardware not stated"
        yield "training", f"{training['epochs']} epochs, {training['minutes']:.0f} minutes on {hardware}"
    evaluation = _mapping(details.get("evaluation"))
    scores = [
        f"{shown} {evaluation[key]:.3f}"
        for key, shown in (("top1", "top-1"), ("top5", "top-5"), ("ece", "expected calibration error"))
        if _is_number(evaluation.get(key))
    ]
    if scores:
        where = _text(evaluation.get("on")) or "data not stated"
        yield "accuracy", f"{', '.join(scores)} on {where}"
    yield from _describe_teaching(_mapping(details.get("teaching")))
    yield from _describe_quantization(_mapping(details.get("quantization")))
    for key, name in (("limitations", "limitation"), ("not_for", "not for")):
        found = details.get(key)
        if isinstance(found, Sequence) and not isinstance(found, str):
            yield from ((name, _text(item)) for item in found)


def _describe_teaching(teaching: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What ``pictag teach`` recorded about a model."""
    figure = _mapping(_mapping(teaching.get("cross_validation")).get("figure"))
    if _is_number(teaching.get("images")) and all(
        _is_number(figure.get(key)) for key in ("value", "low", "high")
    ):
        what = "accuracy" if teaching.get("kind") == "single_label_classification" else "ROC area"
        yield (
            "taught",
            f"from {_text(_mapping(teaching.get('base')).get('model')) or 'an unknown model'}, with "
            f"{teaching['images']:,} images; {what} {figure['value']:.1%} ({figure['low']:.0%} to "
            f"{figure['high']:.0%}) on images that were left out",
        )


def _describe_quantization(quantization: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """What ``pictag quantize`` recorded about its weights."""
    calibration, check = (_mapping(quantization.get(key)) for key in ("calibration", "check"))
    if _is_number(calibration.get("images")) and _is_number(check.get("images")):
        yield (
            "quantized",
            f"from {_text(_mapping(quantization.get('original')).get('model')) or 'an unknown model'}, "
            f"calibrated with {calibration['images']} images, checked on {check['images']}",
        )
    for path, artefact in _mapping(quantization.get("artefacts")).items():
        for engine, measured in _mapping(_mapping(artefact).get("engines")).items():
            agreement = _mapping(_mapping(measured).get("agreement"))
            speed = _mapping(_mapping(measured).get("images_per_second"))
            if not _is_number(agreement.get("top1")):
                continue
            told = f"{path} with {engine}: {agreement['top1']:.1%} same best label"
            if _is_number(agreement.get("mean_difference")):
                told += f", scores differ by {agreement['mean_difference']:.3f}"
            if _is_number(speed.get("original")) and _is_number(speed.get("quantized")) and speed["original"]:
                told += f", {speed['quantized'] / speed['original']:.1f} times as fast"
            yield "agreement", told


def _tensor(tensor: Mapping[str, Any]) -> str:
    shape = ", ".join("?" if side is None else str(side) for side in tensor["shape"])
    return f"{tensor['name']} {tensor['dtype']} [{shape}]"


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
