"""What a type checker knows about results; mypy checks this module, and the shapes are checked as it runs."""

from __future__ import annotations

import io
from pathlib import Path
from typing import assert_type

import numpy as np
from PIL import Image

from pictag import ImageClassificationPipeline, pipeline
from pictag.options import PipelineKeywords
from pictag.pipelines.results import LabelScore

ARRAY = np.zeros((8, 8, 3), np.uint8)
ENTRIES = list[LabelScore]


def test_one_image_gives_a_dict_or_none_and_several_a_list() -> None:
    with pipeline("image-classification", "embedded") as classifier:
        assert_type(classifier, ImageClassificationPipeline[LabelScore | None])
        one = classifier(ARRAY)
        several = classifier([ARRAY, ARRAY], min_score=0.99)
        assert_type(one, LabelScore | None)
        assert_type(several, list[LabelScore | None])
        assert isinstance(one, dict)
        assert len(several) == 2


def test_values_as_in_transformers_have_types() -> None:
    with pipeline(None, "embedded", device=-1, dtype=np.float32) as classifier:
        assert_type(classifier, ImageClassificationPipeline[LabelScore | None])
        assert isinstance(classifier(ARRAY, function_to_apply="softmax"), dict)


def test_top_k_gives_a_list_and_several_images_a_list_of_lists() -> None:
    with pipeline(model="embedded") as classifier:
        one = classifier(ARRAY, top_k=3)
        several = classifier([ARRAY, ARRAY], top_k=3)
        everything = classifier(ARRAY, top_k=None, batch_size=1)
        assert_type(one, ENTRIES)
        assert_type(several, list[ENTRIES])
        assert_type(everything, ENTRIES)
        assert (len(one), [len(entry) for entry in several], len(everything)) == (3, [3, 3], 200)


def test_the_pipelines_own_top_k_is_the_default_of_every_call() -> None:
    with pipeline(model="embedded", top_k=2) as classifier:
        assert_type(classifier, ImageClassificationPipeline[ENTRIES])
        one = classifier(ARRAY)
        several = classifier((ARRAY,))
        assert_type(one, ENTRIES)
        assert_type(several, list[ENTRIES])
        assert (len(one), len(several[0])) == (2, 2)
        assert isinstance(classifier(ARRAY, top_k=1), dict)


def test_always_list_gives_lists() -> None:
    with pipeline(model="embedded", always_list=True) as classifier:
        assert_type(classifier, ImageClassificationPipeline[ENTRIES])
        one = classifier(ARRAY)
        several = classifier([ARRAY])
        assert_type(one, ENTRIES)
        assert_type(several, list[ENTRIES])
        assert (len(one), len(several[0])) == (1, 1)
        assert isinstance(classifier(ARRAY, top_k=1), list)


def test_every_kind_of_image_is_one_image(tmp_path: Path) -> None:
    image = Image.fromarray(ARRAY)
    image.save(tmp_path / "black.png")
    data = (tmp_path / "black.png").read_bytes()
    with pipeline(model="embedded") as classifier, (tmp_path / "black.png").open("rb") as file:
        assert_type(classifier(str(tmp_path / "black.png")), LabelScore | None)
        assert_type(classifier(tmp_path / "black.png"), LabelScore | None)
        assert_type(classifier(image), LabelScore | None)
        assert_type(classifier(data), LabelScore | None)
        assert_type(classifier(file), LabelScore | None)
        assert_type(classifier(io.BytesIO(data)), LabelScore | None)


def test_options_may_come_as_a_typed_dict() -> None:
    options: PipelineKeywords = {"always_list": True, "top_k": 2, "decode": "fast"}
    with pipeline(model="embedded", **options) as classifier:
        assert len(classifier(ARRAY)) == 2
