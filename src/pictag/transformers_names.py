"""Names that code written for transformers uses, and what pictag has instead.

The error for an option or attribute with one of these names says what to use instead; without an equivalent,
it says whether the name isn't needed or isn't supported.
"""

from __future__ import annotations

DTYPES = {"float32": "fp32", "float16": "fp16"}
"""Types of PyTorch and numpy, and the dtypes that pictag calls by another name."""

_OWN_PREPROCESSING = (
    "It isn't supported: the model's files say how images are prepared. classifier.forward() takes pixel "
    "values that you prepared yourself."
)
_NO_CODE = "It isn't needed: pictag never runs code from a model's repository."
_OWN_LABELS = "It isn't supported: a model scores the labels that it was trained with."
OPTIONS = {
    "candidate_labels": _OWN_LABELS,
    "code_revision": _NO_CODE,
    "config": "It isn't supported: pictag reads the model's own config.json.",
    "device_map": "Use device='cpu' or device='cuda' in pipeline(): a model runs on one device.",
    "feature_extractor": _OWN_PREPROCESSING,
    "framework": "It isn't needed: pictag runs ONNX models, without PyTorch or TensorFlow.",
    "hypothesis_template": _OWN_LABELS,
    "image_processor": _OWN_PREPROCESSING,
    "images": "Pass the images as the first argument: classifier(images).",
    "model_kwargs": "It isn't supported: it is for PyTorch models. Give cache_dir to pipeline() directly.",
    "num_workers": "It isn't needed: pictag uses all cores. Limit them with threads in pipeline().",
    "processor": _OWN_PREPROCESSING,
    "timeout": "Use timeout_s, also in seconds.",
    "tokenizer": "It isn't needed: pictag classifies images, without text.",
    "torch_dtype": "Use dtype='fp32' or dtype='fp16' in pipeline().",
    "trust_remote_code": _NO_CODE,
    "use_auth_token": "Use token in pipeline().",
    "use_fast": "It isn't needed: pictag has one implementation of each image processor.",
}
"""Options of ``pipeline()`` and of calls."""

_NO_SAVING = "It isn't supported: a pipeline can't be saved. The weights are in classifier.model.weights."
_PREPROCESSING = "classifier.preprocess() prepares images, and classifier.card.preprocessing has the steps."
ATTRIBUTES = {
    "config": "The labels are classifier.labels; classifier.model.config_json is the model's config.json.",
    "dtype": "Use classifier.card.dtype.",
    "eval": "It isn't needed: pictag doesn't train models.",
    "feature_extractor": _PREPROCESSING,
    "image_processor": _PREPROCESSING,
    "push_to_hub": _NO_SAVING,
    "save_pretrained": _NO_SAVING,
    "to": "A model stays on its device. Open another pipeline with pipeline(…, device=…).",
    "tokenizer": "pictag classifies images, without text.",
    "torch_dtype": "Use classifier.card.dtype.",
    "transform": "Use classifier(images).",
}
"""Attributes of the pipeline and of its ``model``."""

TASKS = {
    "image-feature-extraction": (
        "For embeddings, use pipeline('image-classification', embeddings=True) and classifier.embed(images)."
    ),
    "zero-shot-image-classification": (
        "pictag can't score labels of your choice: with 'image-classification', a model scores the labels "
        "that it was trained with."
    ),
}
"""Tasks with something similar in pictag."""


def explain_attribute(owner: object, name: str) -> AttributeError:
    """The error for an attribute that doesn't exist.

    >>> explain_attribute(object(), "transform")
    AttributeError("'object' object has no attribute 'transform'. Use classifier(images).")
    """
    message = f"{type(owner).__name__!r} object has no attribute {name!r}"
    return AttributeError(f"{message}. {ATTRIBUTES[name]}" if name in ATTRIBUTES else message)
