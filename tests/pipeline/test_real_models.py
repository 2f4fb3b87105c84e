"""Real models on real photographs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictag import pipeline

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.shared
@pytest.mark.parametrize(("dtype", "least"), [("fp32", 0.86), ("q8", 0.85)])
def test_mobilenet_names_what_is_in_two_hundred_photographs(shared: Path, dtype: str, least: float) -> None:
    photographs = sorted((shared / "images" / "imagenet").glob("*.JPEG")) or sorted(
        (shared / "images" / "imagenet").glob("*_n*.*")
    )
    assert len(photographs) == 200
    with pipeline(
        "image-classification", model=shared / "models" / "mobilenet_v2", dtype=dtype
    ) as classifier:
        predictions = classifier.predict(photographs)
    # The file's name starts with its class in ImageNet's thousand; this model's label 0 is the background.
    right = sum(
        p.labels[0].index == int(photograph.name.split("_")[0]) + 1
        for p, photograph in zip(predictions, photographs, strict=True)
    )
    assert right / len(photographs) >= least
