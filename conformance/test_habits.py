"""Code written for transformers gives the same labels and scores with pictag."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import reference
import torch
import transformers
from architectures import ARCHITECTURES
from drawn import fitted_configuration
from PIL import Image
from transformers.pipelines.pt_utils import KeyDataset

import pictag
from pipelines.habits import HINTS, PICTAG_ONLY, SAME, Names

# Half precision rounds in the fourth decimal.
SCORES_MAY_DIFFER_BY = 2e-3


@pytest.fixture(scope="module")
def libraries(images: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Names, Names]:
    """The names of the snippets, with the pipeline of transformers and with that of pictag."""
    architecture = ARCHITECTURES["vit"]
    folder = tmp_path_factory.mktemp("vit")
    model = reference.build_model("vit", architecture)
    model.save_pretrained(folder)
    reference.write_model(model, architecture.edge, folder)
    shutil.copy(folder / "onnx" / "model.onnx", folder / "onnx" / "model_fp16.onnx")
    configuration = fitted_configuration(architecture.processor, architecture.edge)
    (folder / "preprocessor_config.json").write_text(json.dumps(configuration))
    paths = [str(path) for path in images.values() if is_ordinary(Image.open(path))][:3]
    theirs, ours = (
        Names(pipeline=pipeline, model=str(folder), paths=paths, torch=torch, key_dataset=KeyDataset)
        for pipeline in (transformers.pipeline, functools.partial(pictag.pipeline, always_list=True))
    )
    return theirs, ours


def is_ordinary(image: Image.Image) -> bool:
    """Whether its array can only be height × width × colour."""
    return image.mode == "RGB" and min(image.size) > 4


@pytest.mark.parametrize("snippet", SAME)
def test_a_snippet_gives_the_same_result(libraries: tuple[Names, Names], snippet: str) -> None:
    theirs, ours = (names.run(snippet) for names in libraries)
    assert_close(ours, theirs)


def assert_close(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert_close(a, b)
    elif isinstance(theirs, dict):
        assert ours["label"] == theirs["label"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=SCORES_MAY_DIFFER_BY)
    else:
        assert ours == theirs


@pytest.mark.parametrize("snippet", PICTAG_ONLY)
def test_transformers_refuses_what_only_pictag_takes(libraries: tuple[Names, Names], snippet: str) -> None:
    with pytest.raises((TypeError, ValueError, RuntimeError, AttributeError)):
        libraries[0].run(snippet)


@pytest.mark.parametrize(("snippet", "hint"), HINTS.items(), ids=list(HINTS))
def test_pytorchs_own_types_get_the_same_hints(
    libraries: tuple[Names, Names], snippet: str, hint: str
) -> None:
    with pytest.raises((pictag.PictagError, AttributeError), match=hint):
        libraries[1].run(snippet)
