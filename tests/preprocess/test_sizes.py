"""The size that a model resizes an image to first."""

from __future__ import annotations

import pytest

from pictag.preprocess.sizes import target_size
from pictag.preprocess.spec import PreprocessSpec
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
