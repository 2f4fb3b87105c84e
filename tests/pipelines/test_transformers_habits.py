"""Code written for transformers runs, or its error says what to use instead."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pictag
from pictag import PictagError, transformers_names
from pictag.errors import MissingExtra, ModelUnavailable
from pictag.options import read_pipeline_options
from pipelines.habits import HINTS, PICTAG_ONLY, SAME, KeyDataset, Names, make_torch
from tinymodel import make_image, make_tiny_model

PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming-from-transformers.md"
TORCH = make_torch()


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Names:
    folder = tmp_path_factory.mktemp("habits")
    make_tiny_model(folder / "model", files=("onnx/model.onnx", "onnx/model_fp16.onnx"))
    paths = [str(make_image(folder / f"{colour}.png", colour)) for colour in ("red", "green", "blue")]
    pipeline = functools.partial(pictag.pipeline, always_list=True)
    return Names(
        pipeline=pipeline, model=str(folder / "model"), paths=paths, torch=TORCH, key_dataset=KeyDataset
    )


def read_labels(result: Any) -> Any:
    if isinstance(result, list):
        return [read_labels(entry) for entry in result]
    return result["label"] if isinstance(result, dict) else result


@pytest.mark.parametrize("snippet", SAME)
def test_code_written_for_transformers_runs(names: Names, snippet: str) -> None:
    several = [["red", "green"], ["green", "red"], ["blue", "red"]]
    expected = {
        "classifier(image, top_k=3)": ["red", "green", "blue"],
        "classifier.task": "image-classification",
        "str(classifier.device)": "cpu",
    }.get(snippet, several if re.search(r"images|paths|rows", snippet) else several[0])
    assert read_labels(names.run(snippet)) == expected


@pytest.mark.parametrize("snippet", PICTAG_ONLY)
def test_what_transformers_refuses_can_run_too(names: Names, snippet: str) -> None:
    assert names.run(snippet) == names.run("classifier(image)")


@pytest.mark.parametrize(("snippet", "hint"), HINTS.items(), ids=list(HINTS))
def test_an_error_names_the_equivalent(names: Names, snippet: str, hint: str) -> None:
    with pytest.raises((PictagError, AttributeError), match=hint) as caught:
        names.run(snippet)
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("device", "read"),
    [
        (-1, "cpu"), (None, "cpu"), (0, "cuda:0"), (np.int64(1), "cuda:1"), ("cuda", "cuda"),
        (TORCH.device("cuda:1"), "cuda:1"), (TORCH.device("cuda"), "cuda"), ("cuda:0", "cuda:0"),
    ],
)  # fmt: skip
def test_devices_of_transformers_are_read(device: Any, read: str) -> None:
    assert read_pipeline_options({"device": device}).device == read


@pytest.mark.parametrize("device", [0, "cuda", "cuda:0", TORCH.device("cuda:0")])
def test_a_missing_gpu_is_an_error_that_names_the_cpu(names: Names, device: Any) -> None:
    wanted = r"use device='cpu'.*pictag\[gpu\]|nobody/has-this-model"  # the second where there is a GPU
    with pytest.raises((MissingExtra, ModelUnavailable), match=wanted):
        names.pipeline("image-classification", "nobody/has-this-model", device=device, local_files_only=True)


@pytest.mark.parametrize("device", [-2, 1.5, True, "mps", b"cpu", []])
def test_other_devices_are_errors(names: Names, device: Any) -> None:
    with pytest.raises(PictagError, match=r"device=.* is unknown\. Use cpu, cuda or tensorrt"):
        names.pipeline("image-classification", names.model, device=device)


@pytest.mark.parametrize("dtype", [5, "float64", float, [], "float16 "])
def test_other_dtypes_are_errors_that_list_the_dtypes(names: Names, dtype: Any) -> None:
    with pytest.raises(PictagError, match=r"Unknown dtype .* The dtypes are auto, fp32"):
        names.pipeline("image-classification", names.model, dtype=dtype)


class Unending:
    """A dataset whose items never end: only its length says how many there are."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return np.full((4, 4, 3), (255, 0, 0), np.uint8)


@pytest.mark.parametrize("method", ["__call__", "predict", "stream", "preprocess"])
def test_a_dataset_has_as_many_images_as_its_length(names: Names, method: str) -> None:
    with names.pipeline("image-classification", names.model) as classifier:
        assert len(list(getattr(classifier, method)(Unending()))) == 3


@pytest.mark.parametrize(
    ("row", "column"),
    [
        ({"pixel_values": b"...", "label": 3}, "row['pixel_values']"),
        ({"left": b"...", "right": b"..."}, "row[…]"),
        ({"name": "cat.jpg"}, "row[…]"),
        ({}, "row[…]"),
    ],
)
def test_a_row_of_a_dataset_is_an_error_that_names_its_column(
    names: Names, row: dict[str, Any], column: str
) -> None:
    with names.pipeline("image-classification", names.model) as classifier:
        (prediction,) = classifier.predict([row])
    assert prediction.error.kind == "UnsupportedInput"
    assert f"classifier({column} for row in dataset)" in prediction.error.message


def test_other_missing_attributes_are_reported_as_usual(names: Names) -> None:
    with names.pipeline("image-classification", names.model) as classifier:
        for owner, name in ((classifier, "colour"), (classifier.model, "colour")):
            with pytest.raises(AttributeError, match=r"^'\w+' object has no attribute 'colour'$"):
                getattr(owner, name)
            assert not hasattr(owner, "save_pretrained")


@pytest.mark.parametrize(
    "name", [*transformers_names.OPTIONS, *transformers_names.ATTRIBUTES, *transformers_names.TASKS]
)
def test_every_name_with_a_hint_is_on_the_page(name: str) -> None:
    assert re.search(rf"[`.(\"]{name}\b", PAGE.read_text(encoding="utf-8"))


def test_no_hint_is_for_a_name_that_exists(names: Names) -> None:
    with names.pipeline("image-classification", names.model) as classifier:
        fields = {*dir(classifier.options), *dir(classifier.options.scoring)}
        attributes = {*dir(classifier), *dir(classifier.model)}
    assert not fields & transformers_names.OPTIONS.keys()
    assert not attributes & transformers_names.ATTRIBUTES.keys()
