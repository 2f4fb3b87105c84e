"""The size that a model resizes an image to first, and the limit on it."""

from __future__ import annotations

import pytest

from pictag.errors import ImageTooLarge
from pictag.preprocess.sizes import check_resized_size, target_size
from pictag.preprocess.spec import PreprocessSpec, plain_spec
from pictag.preprocess.steps import CenterCrop, CropFraction, FlattenOnWhite, Resize, ResizeShortest, Step


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((ResizeShortest(edge=256, resample="bilinear"), CenterCrop(height=224, width=224)), (256, 341)),
        ((FlattenOnWhite(), Resize(height=224, width=224, resample="bicubic")), (224, 224)),
        ((CropFraction(height=0.875, width=0.875), Resize(height=8, width=8, resample="bicubic")), None),
        ((CenterCrop(height=224, width=224),), None),
        ((), None),
    ],
)
def test_the_first_resize_decides(steps: tuple[Step, ...], expected: tuple[int, int] | None) -> None:
    assert target_size(PreprocessSpec(processor="test", steps=steps), (3000, 4000)) == expected


@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1), (2, 9_000)])
def test_a_thin_image_that_would_exceed_the_limit_is_rejected(size: tuple[int, int]) -> None:
    spec = plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=True)
    with pytest.raises(ImageTooLarge, match=f"{size[1]}×{size[0]}"):
        check_resized_size(spec, size, max_pixels=50_000_000)


@pytest.mark.parametrize("max_pixels", [1, 50_000_000])
def test_ordinary_model_sizes_are_allowed_under_any_limit(max_pixels: int) -> None:
    for crop in (False, True, 0.875):
        spec = plain_spec(size=(512, 512), mean=[0.5], std=[0.5], crop=crop)
        for size in ((1, 1), (480, 640), (8000, 6000)):
            check_resized_size(spec, size, max_pixels=max_pixels)
