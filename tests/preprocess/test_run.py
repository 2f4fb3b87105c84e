"""Execution of the steps: shapes, order, borders, limits."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from pictag.errors import ImageTooLarge, InvalidModel
from pictag.preprocess.run import preprocess
from pictag.preprocess.spec import PreprocessSpec, plain_spec
from pictag.preprocess.steps import (
    CenterCrop,
    FlipChannels,
    Normalize,
    Pad,
    Resample,
    Rescale,
    Resize,
    ResizeShortest,
    Step,
)
from preprocess.drawing import draw


def spec(*steps: Step, channels: int = 3) -> PreprocessSpec:
    return PreprocessSpec(processor="test", steps=steps, channels=channels)


def test_the_result_is_contiguous_float32_with_channels_first() -> None:
    values = preprocess(draw(10, 7), spec())
    assert values.shape == (3, 7, 10)
    assert values.dtype == np.float32
    assert values.flags.c_contiguous


def test_every_value_equals_the_reference_arithmetic() -> None:
    tones = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(np.stack([tones] * 3, axis=-1))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ours = preprocess(image, spec(Rescale(factor=1 / 255), Normalize(mean=mean, std=std)))
    scaled = (tones.astype(np.float64) * (1 / 255)).astype(np.float32)
    for channel in range(3):
        theirs = (scaled - np.float32(mean[channel])) / np.float32(std[channel])
        assert np.array_equal(ours[channel], theirs)


def test_channels_are_flipped_after_normalisation() -> None:
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    flip = spec(Normalize(mean=(5.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)), FlipChannels())
    assert preprocess(red, flip)[:, 0, 0].tolist() == [0.0, 0.0, 250.0]


def test_a_small_image_gets_a_border_in_the_given_colour() -> None:
    framed = preprocess(
        Image.new("RGB", (1, 1), "white"), spec(CenterCrop(height=3, width=3, fill=(1, 2, 3)))
    )
    assert framed[:, 1, 1].tolist() == [255.0] * 3
    assert framed[:, 0, 0].tolist() == [1.0, 2.0, 3.0]


def test_padding_comes_last_and_is_zero() -> None:
    padded = preprocess(
        Image.new("RGB", (2, 1), "black"),
        spec(Normalize(mean=(1.0,) * 3, std=(1.0,) * 3), Pad(height=2, width=3)),
    )
    assert padded[0].tolist() == [[-1.0, -1.0, 0.0], [0.0, 0.0, 0.0]]
    with pytest.raises(ImageTooLarge, match="2×3"):
        preprocess(draw(2, 3), spec(Pad(height=2, width=2)))


def test_a_very_thin_image_is_rejected_before_it_is_enlarged() -> None:
    with pytest.raises(ImageTooLarge, match="30000×1"):
        preprocess(Image.new("RGB", (30_000, 1)), spec(ResizeShortest(edge=256, resample="bilinear")))


def test_max_pixels_limits_the_resized_image_but_never_an_ordinary_model_size() -> None:
    thin, large = (
        spec(ResizeShortest(edge=224, resample="bilinear")),
        spec(Resize(height=512, width=512, resample="bilinear")),
    )
    with pytest.raises(ImageTooLarge, match="more than 50,000,000 pixels"):
        preprocess(Image.new("RGB", (2, 9_000)), thin, max_pixels=50_000_000)
    assert preprocess(Image.new("RGB", (2, 9)), large, max_pixels=1).shape == (3, 512, 512)


def test_steps_in_the_wrong_order_are_rejected() -> None:
    with pytest.raises(ValueError, match="order"):
        spec(Rescale(factor=1 / 255), Resize(height=1, width=1, resample="box"))


def test_a_grey_image_stays_one_plane() -> None:
    plain = plain_spec(size=(28, 28), mean=[0.5], std=[0.5], channels=1)
    assert preprocess(draw(40, 30), plain).shape == (1, 28, 28)


def test_a_plain_model_crops_as_its_file_says() -> None:
    cropped = plain_spec(size=(224, 224), mean=[0], std=[1], crop=0.875, channel_order="BGR")
    assert cropped.describe()[:2] == (
        "resize the shorter edge to 256 (bilinear)",
        "crop the centre to 224×224",
    )
    assert cropped.output_size == (224, 224)
    assert preprocess(draw(31, 80), plain_spec(size=(8, 20), mean=[0], std=[1], crop=True)).shape == (
        3,
        8,
        20,
    )


@pytest.mark.parametrize(
    "options",
    [
        {"size": (0, 5)},
        {"std": [0.0]},
        {"mean": [1, 2]},
        {"scale": 0},
        {"crop": 7.0},
        {"channels": 4},
        {"resample": 9},
    ],
)
def test_a_wrong_value_of_a_plain_model_names_its_key(options: dict[str, object]) -> None:
    with pytest.raises(InvalidModel, match=next(iter(options))):
        plain_spec(**{"size": (8, 8), "mean": [0.5], "std": [0.5], **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "height"), [(500, 375), (375, 500), (1000, 751), (224, 224), (256, 400), (90, 60)]
)
@pytest.mark.parametrize("resample", ["bilinear", "bicubic", "lanczos", "box", "nearest"])
def test_a_resize_of_the_crop_alone_is_nearly_exact(width: int, height: int, resample: Resample) -> None:
    steps = spec(ResizeShortest(edge=256, resample=resample), CenterCrop(height=224, width=224))
    image = draw(width, height)
    exact, quick = preprocess(image, steps), preprocess(image, steps, is_exact=False)
    assert quick.shape == exact.shape
    differences = np.abs(quick - exact)
    assert differences.max() <= (0 if resample == "nearest" else 2)
    assert (differences > 0).mean() < 0.05


def test_a_crop_beyond_the_image_is_exact() -> None:
    steps = spec(
        ResizeShortest(edge=20, resample="bilinear"), CenterCrop(height=30, width=24, fill=(9, 9, 9))
    )
    image = draw(50, 40)
    assert np.array_equal(preprocess(image, steps, is_exact=False), preprocess(image, steps))


def test_a_very_thin_image_is_rejected_even_if_most_is_cropped_off() -> None:
    steps = spec(ResizeShortest(edge=256, resample="bilinear"), CenterCrop(height=224, width=224))
    with pytest.raises(ImageTooLarge, match="30000×1"):
        preprocess(Image.new("RGB", (30_000, 1)), steps, is_exact=False)


@pytest.mark.parametrize("size", [(30_000, 1), (1, 30_000), (9_000, 2)])
def test_a_thin_image_that_would_exceed_the_limit_is_rejected(size: tuple[int, int]) -> None:
    spec = plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=True)
    with pytest.raises(ImageTooLarge, match=f"{size[0]}×{size[1]}"):
        preprocess(Image.new("RGB", size), spec, max_pixels=50_000_000)


@pytest.mark.parametrize("max_pixels", [1, 50_000_000])
def test_ordinary_model_sizes_are_allowed_under_any_limit(max_pixels: int) -> None:
    for crop in (False, True, 0.875):
        spec = plain_spec(size=(512, 512), mean=[0.5], std=[0.5], crop=crop)
        for size in ((1, 1), (640, 480), (3000, 2000)):
            assert preprocess(Image.new("RGB", size), spec, max_pixels=max_pixels).shape == (3, 512, 512)
