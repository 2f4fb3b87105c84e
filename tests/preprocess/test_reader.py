"""The choice of file and class, and the handling of invalid values."""

from __future__ import annotations

from typing import Any

import pytest

from pictag.errors import InvalidModel, UnsupportedProcessor
from pictag.preprocess.reader import read_spec
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import (
    CenterCrop,
    FlipChannels,
    Normalize,
    Resize,
    ResizeLongest,
    ResizeShortest,
    ToGrayscale,
)


def read(config: dict[str, Any] | None = None, **values: Any) -> PreprocessSpec:
    return read_spec(
        config=config or {}, preprocessor={"image_processor_type": "ViTImageProcessor", **values}
    )


def test_a_nested_processor_config_takes_precedence() -> None:
    spec = read_spec(
        config={},
        preprocessor={"image_processor_type": "BeitImageProcessor"},
        processor={"image_processor": {"image_processor_type": "ViTImageProcessor", "size": 32}},
    )
    assert (spec.processor, spec.output_size) == ("ViTImageProcessor", (32, 32))


def test_a_processor_config_without_an_image_processor_is_ignored() -> None:
    spec = read_spec(config={"model_type": "beit"}, preprocessor={}, processor={"processor_class": "X"})
    assert spec.processor == "BeitImageProcessor"


@pytest.mark.parametrize(
    ("values", "config", "name"),
    [
        ({"image_processor_type": "ConvNextImageProcessorFast"}, {}, "ConvNextImageProcessor"),
        ({"image_processor_type": "CLIPImageProcessorPil"}, {}, "CLIPImageProcessor"),
        ({"feature_extractor_type": "ViTFeatureExtractor"}, {}, "ViTImageProcessor"),
        ({"image_processor_type": "MobileNetV4FeatureExtractor"}, {}, "MobileNetV4ImageProcessor"),
        (
            {"image_processor_type": "BitImageProcessor", "feature_extractor_type": "ViTFeatureExtractor"},
            {},
            "BitImageProcessor",
        ),
        ({}, {"image_processor_type": "PvtImageProcessor", "model_type": "vit"}, "PvtImageProcessor"),
        ({}, {"model_type": "swinv2"}, "ViTImageProcessor"),
        (
            {"image_processor_type": "ImageFeatureExtractor"},
            {"model_type": "resnet"},
            "ConvNextImageProcessor",
        ),
    ],
)
def test_the_class_is_found_by_any_of_its_names(
    values: dict[str, Any], config: dict[str, Any], name: str
) -> None:
    assert read_spec(config=config, preprocessor=values).processor == name


@pytest.mark.parametrize(
    "name",
    [
        "ImageGPTImageProcessor",
        "Siglip2ImageProcessor",
        "DonutFeatureExtractor",
        "Gemma3ImageProcessorFast",
        "My\nOwn",
    ],
)
def test_an_unsupported_class_is_named(name: str) -> None:
    with pytest.raises(UnsupportedProcessor, match=name[:5].replace("\n", r"\\n")) as caught:
        read(image_processor_type=name)
    assert "pictag.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_model_without_any_preprocessing_file_is_an_error() -> None:
    with pytest.raises(InvalidModel, match=r"preprocessor_config\.json"):
        read_spec(config={"model_type": "vit"})
    with pytest.raises(UnsupportedProcessor, match="unheard_of"):
        read_spec(config={"model_type": "unheard_of"}, preprocessor={})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", -1),
        ("size", 0),
        ("size", 10**9),
        ("size", "224"),
        ("size", True),
        ("size", [1, 2, 3]),
        ("size", {"height": 224}),
        ("size", {"height": 224, "width": "x"}),
        ("size", {"height": float("nan"), "width": 2}),
        ("crop_size", [5, -5]),
        ("resample", 6),
        ("resample", "sharp"),
        ("do_resize", "yes"),
        ("image_std", [0.5, 0.0, 0.5]),
        ("image_std", 0),
        ("image_mean", [0.5, float("nan"), 0.5]),
        ("image_mean", [0.5, 0.5]),
        ("image_mean", "half"),
        ("rescale_factor", float("inf")),
        ("rescale_factor", 0),
        ("crop_pct", 1e-9),
        ("image_processor_type", 7),
    ],
)
def test_an_invalid_value_is_named_with_its_file(key: str, value: Any) -> None:
    with pytest.raises(InvalidModel) as caught:
        read(**{key: value})
    assert key in str(caught.value)
    assert "preprocessor_config.json" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_hostile_configuration_cannot_request_gigabytes() -> None:
    for value in ({"shortest_edge": 10**7}, {"height": 2**40, "width": 1}):
        with pytest.raises(InvalidModel):
            read(size=value)


def test_clear_values_are_accepted_even_if_the_reference_fails() -> None:
    steps = read(size={"longest_edge": 64}, do_center_crop=True, crop_size={"shortest_edge": 32}).steps
    assert steps[:2] == (ResizeLongest(edge=64, resample="bilinear"), CenterCrop(height=32, width=32))
    aliases = read(image_size=48, mean=[0.1, 0.2, 0.3], std=0.5)
    assert Resize(height=48, width=48, resample="bilinear") in aliases.steps
    assert Normalize(mean=(0.1, 0.2, 0.3), std=(0.5, 0.5, 0.5)) in aliases.steps


def test_a_null_flag_is_false() -> None:
    assert read(do_resize=None, do_rescale=None, do_normalize=None).steps == ()


def test_a_grey_model_gets_one_channel() -> None:
    spec = read_spec(
        config={"num_channels": 1},
        preprocessor={
            "feature_extractor_type": "MobileViTFeatureExtractor",
            "do_convert_rgb": False,
            "size": 28,
            "crop_size": 28,
            "do_center_crop": True,
            "do_flip_channel_order": False,
        },
    )
    assert spec.channels == 1
    assert spec.steps[0] == ToGrayscale()
    with pytest.raises(UnsupportedProcessor, match="12 channels"):
        read({"num_channels": 12})


def test_mobilevit_flips_its_channels_and_does_not_normalise() -> None:
    steps = read(image_processor_type="MobileViTImageProcessor").steps
    assert steps[-1] == FlipChannels()
    assert not any(isinstance(step, Normalize) for step in steps)


def test_timm_is_read_nested_and_flat() -> None:
    cfg = {"input_size": [3, 240, 240], "crop_pct": 0.9, "interpolation": "bicubic", "mean": [0.5] * 3}
    nested = read_spec(config={"pretrained_cfg": cfg})
    assert nested == read_spec(config={"architecture": "resnet18", **cfg})
    assert nested.output_size == (240, 240)
    assert nested.steps[0] == ResizeShortest(edge=266, resample="bicubic")


def test_timm_crop_modes_determine_the_geometry() -> None:
    def steps(**cfg: Any) -> tuple[str, ...]:
        return read_spec(config={"pretrained_cfg": {"input_size": [3, 224, 224], **cfg}}).describe()[:2]

    assert steps() == ("resize the shorter edge to 256 (bicubic)", "crop the centre to 224×224")
    assert steps(crop_mode="squash", crop_pct=1.0)[0] == "resize to 224×224 (bicubic)"
    assert steps(crop_mode="border", crop_pct=1.0, mean=[0.5, 0.5, 0.5]) == (
        "resize to fit into 224×224 (bicubic)",
        "crop the centre to 224×224, border (128, 128, 128)",
    )
    assert steps(interpolation="random")[0].endswith("(bilinear)")
    assert steps(input_size=[3, 100, 200])[0] == "resize to cover 114×228 (bicubic)"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("input_size", [3, 224]),
        ("crop_mode", "mosaic"),
        ("interpolation", "sinc"),
        ("std", [0, 1, 1]),
        ("crop_pct", 0),
    ],
)
def test_an_invalid_timm_value_is_named(key: str, value: object) -> None:
    with pytest.raises(InvalidModel, match=key):
        read_spec(config={"pretrained_cfg": {key: value}})
