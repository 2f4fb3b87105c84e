"""Finds the file that describes a model's preprocessing, and the class of its image processor.

As in transformers 5.23, ``image_processor`` in ``processor_config.json`` takes precedence over
``preprocessor_config.json``, and that over timm's ``config.json``. The class is ``image_processor_type``, the
older ``feature_extractor_type``, ``image_processor_type`` in ``config.json``, or the default for the
``model_type``, in this order.
"""

from __future__ import annotations

from collections.abc import Mapping

from pictag.errors import InvalidModel, UnsupportedProcessor, shorten
from pictag.preprocess.classes import CLASS_OF_MODEL_TYPE
from pictag.preprocess.huggingface import read_processor
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.timm import NAME as TIMM
from pictag.preprocess.timm import read_timm, timm_settings
from pictag.preprocess.values import Settings

CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"
PROCESSOR = "processor_config.json"

_NO_CLASS = {"ImageProcessor", "ImageFeatureExtractor", "BaseImageProcessor"}
"""Base classes that exports of transformers.js name; they carry no information."""


def read_spec(
    *,
    config: Mapping[str, object],
    preprocessor: Mapping[str, object] | None = None,
    processor: Mapping[str, object] | None = None,
) -> PreprocessSpec:
    """The preprocessing of a model in the Hub's layout, from its three JSON files.

    Raises `UnsupportedProcessor` for an unsupported class, and `InvalidModel` if a value is invalid or the
    preprocessing isn't described at all. The message names the key, value and file.

    >>> spec = read_spec(config={"model_type": "vit"}, preprocessor={"size": 384})
    >>> spec.processor, spec.output_size
    ('ViTImageProcessor', (384, 384))
    """
    nested = None if processor is None else processor.get("image_processor")
    if nested is not None:
        if not isinstance(nested, Mapping):
            raise Settings(file=PROCESSOR, values={}).error("image_processor", nested, "must be an object")
        settings = Settings(file=f"{PROCESSOR} (image_processor)", values=nested)
    elif preprocessor is not None:
        settings = Settings(file=PREPROCESSOR, values=preprocessor)
    else:
        timm = timm_settings(config, CONFIG)
        if timm is None:
            raise InvalidModel(
                f"The model has no {PREPROCESSOR}, so its preprocessing is unknown. Add the file, or "
                "describe the preprocessing in a pictag.toml in the model's folder."
            )
        return read_timm(timm)
    name = _class_name(settings, config)
    if name == TIMM or "pretrained_cfg" in settings.values:
        timm = timm_settings(settings.values, settings.file) or timm_settings(config, CONFIG)
        if timm is None:
            raise settings.error("pretrained_cfg", None, f"a {TIMM} needs it, here or in {CONFIG}")
        return read_timm(timm)
    return read_processor(name, settings, channels=_channels(config))


def _class_name(settings: Settings, config: Mapping[str, object]) -> str:
    model = Settings(file=CONFIG, values=config)
    for source, key in (
        (settings, "image_processor_type"),
        (settings, "feature_extractor_type"),
        (model, "image_processor_type"),
    ):
        value = source.get(key)
        if value is None:
            continue
        if not isinstance(value, str):
            raise source.error(key, value, "must be the name of an image processor")
        if value not in _NO_CLASS:
            return (
                value.removesuffix("Fast").removesuffix("Pil").replace("FeatureExtractor", "ImageProcessor")
            )
    model_type = model.get("model_type")
    if model_type == "timm_wrapper":
        return TIMM
    if not isinstance(model_type, str) or model_type not in CLASS_OF_MODEL_TYPE:
        if "pretrained_cfg" in settings.values:
            return TIMM
        raise UnsupportedProcessor(
            f"{settings.file} doesn't name an image processor (image_processor_type), and the model_type "
            f"{shorten(repr(model_type), 80)} in {CONFIG} has no default one. Add the name, or describe the "
            "preprocessing in a pictag.toml in the model's folder."
        )
    return CLASS_OF_MODEL_TYPE[model_type]


def _channels(config: Mapping[str, object]) -> int:
    vision = config.get("vision_config")
    nested = vision.get("num_channels") if isinstance(vision, Mapping) else None
    value = config.get("num_channels", nested)
    if value is None:
        value = 3
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Settings(file=CONFIG, values=config).error("num_channels", value, "must be 1 or 3")
    if value not in (1, 3):
        raise UnsupportedProcessor(
            f"{CONFIG}: the model takes images of {value} channels; pictag makes 1 (grey) or 3 (RGB). "
            "Use a model for ordinary images."
        )
    return value
