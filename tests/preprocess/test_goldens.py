"""The reference's values, recorded by conformance/make_goldens.py."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictag.preprocess.reader import read_spec
from pictag.preprocess.run import preprocess
from preprocess.drawing import draw_images, sample

GOLDENS = Path(__file__).parent / "goldens"
TRANSFORMERS: dict[str, list[dict[str, Any]]] = json.loads((GOLDENS / "transformers.json").read_text())[
    "processors"
]
TIMM: list[dict[str, Any]] = json.loads((GOLDENS / "timm.json").read_text())["pretrained_cfg"]


draw_images_once = functools.cache(draw_images)


def compare(results: dict[str, dict[str, Any]], **files: Any) -> None:
    spec = read_spec(**files)
    images = draw_images_once()
    for name, golden in results.items():
        ours = sample(preprocess(images[name], spec))
        assert ours["shape"] == golden["shape"], name
        largest = max(1.0, *(abs(value) for value in golden["values"]))
        assert np.allclose(ours["values"], golden["values"], rtol=0, atol=1e-5 * largest), name
        assert np.isclose(ours["mean"], golden["mean"], rtol=0, atol=1e-5 * largest), name


@pytest.mark.parametrize(
    "processor",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "TextNetImageProcessor" else name  # 6 s
        for name in TRANSFORMERS
    ],
)
def test_a_processor_gives_the_recorded_numbers_of_the_reference(processor: str) -> None:
    for entry in TRANSFORMERS[processor]:
        compare(entry["results"], config={}, preprocessor=entry["configuration"])


@pytest.mark.parametrize("number", range(len(TIMM)))
def test_a_timm_configuration_gives_the_recorded_numbers_of_timm(number: int) -> None:
    compare(TIMM[number]["results"], config={"pretrained_cfg": TIMM[number]["configuration"]})
