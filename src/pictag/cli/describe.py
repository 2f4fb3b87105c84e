"""What a run's results depend on: the record that is kept with a result file."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pictag
from pictag.models.checksums import measure_sha256
from pictag.models.folder import DESCRIPTIONS

if TYPE_CHECKING:
    from pictag.models.load import Model
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
        "sha256": _hash_weights(model),
        "labels": _hash("\0".join(model.labels)),
        "preprocessing": list(card.preprocessing),
        "problem_type": model.problem_type,
        "outputs": model.outputs,
        "output_name": model.output_name,
        "thresholds": dict(knowledge.thresholds),
        "temperature": knowledge.temperature,
    }


def _hash_weights(model: Model) -> str:
    """The sha256 of the weights, or of all their files' sha256 if there are several."""
    folder = model.weights.parents[model.card.weights.count("/")]
    found = [
        # A folder's files may have changed since its card was written; those of the Hub were checked.
        file.sha256 or measure_sha256(folder / file.path)
        for file in model.card.files
        if file.path not in DESCRIPTIONS
    ]
    return found[0] if len(found) == 1 else _hash("\n".join(found))


def _hash(text: str) -> str:
    import hashlib  # takes 5 ms, and only files have a record

    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
