"""Real models on real photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictag import pipeline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.shared
@pytest.mark.slow
# What transformers' own processor and this graph give: 169 of 200 in float, and 170 or 171 with the quantized
# file, by the processor's kernels for int8. (With edges of 224 in place of 256, the float file gives 173.)
@pytest.mark.parametrize(("dtype", "least"), [("fp32", 169), ("q8", 170)])
def test_mobilenet_names_as_many_photographs_as_with_the_reference(
    shared: Path, dtype: str, least: int
) -> None:
    photographs = sorted((shared / "images" / "imagenet").glob("*_n*.jpg"))
    assert len(photographs) == 200
    with pipeline(
        "image-classification", model=shared / "models" / "mobilenet_v2", dtype=dtype, engine="onnxruntime"
    ) as classifier:
        predictions = classifier.predict(photographs)
    # The file's name starts with its class in ImageNet's thousand; this model's label 0 is the background.
    right = sum(
        p.labels[0].index == int(photograph.name.split("_")[0]) + 1
        for p, photograph in zip(predictions, photographs, strict=True)
    )
    assert right >= least
