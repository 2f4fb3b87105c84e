"""What a run's results depend on: the record that is kept with a result file."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pictag
from pictag.models.load import hash_weights

if TYPE_CHECKING:
    from pictag.pipelines import ImageClassificationPipeline

# Options that are recorded as what they resolved to, or that don't change labels, scores or embeddings.
_RESOLVED = {"model", "revision", "model_file", "dtype", "engine", "device", "output", "output_name"}
_WITHOUT_EFFECT = {
    "cache_dir", "local_files_only", "token", "progress", "always_list", "mode", "threads", "compiled_cache",
    "max_pixels", "allow_private_urls", "batch_size", "timeout_s", "all_scores",
}  # fmt: skip


def describe_run(classifier: ImageClassificationPipeline[Any]) -> dict[str, Any]:
    """The model, the engine and the options by name, as values that JSON has."""
    model, options = classifier.model, classifier.options
    ref, card, knowledge = model.ref, model.card, model.card.knowledge
    record: dict[str, Any] = {
        "pictag": pictag.__version__,
        "model": ref.name if ref.path is None else ref.path.resolve().name,
        "revision": card.revision,
        "weights": card.weights,
        "dtype": card.dtype,
        "engine": re.sub(r":\d+", "", classifier.engine.name),  # on any of several cards
    }
    for values in (options, options.scoring):
        for field in fields(values):
            if field.name not in {*_RESOLVED, *_WITHOUT_EFFECT, "scoring"}:
                record[field.name] = getattr(values, field.name)
    record["top_k"] = record["top_k"] or "all"
    return record | {
        "sha256": hash_weights(model),
        "labels": _hash("\0".join(model.labels)),
        "preprocessing": list(card.preprocessing),
        "problem_type": model.problem_type,
        "outputs": model.outputs,
        "output_name": model.output_name,
        "thresholds": dict(knowledge.thresholds),
        "temperature": knowledge.temperature,
    }


def _hash(text: str) -> str:
    import hashlib  # takes 5 ms, and only files have a record

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
