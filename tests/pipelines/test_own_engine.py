"""A caller's own engine object."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pictag import pipeline
from pictag.errors import EngineError, OptionError
from pipelines.ownengine import OwnEngine
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

RED = np.full((6, 5, 3), (255, 0, 0), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def test_it_classifies_one_image_and_many(folder: Path) -> None:
    engine = OwnEngine()
    with pipeline(model=folder, engine=engine) as classifier:
        assert classifier.engine is engine
        assert classifier.predict(RED)[0].labels[0].label == "blue"
        assert {p.labels[0].label for p in classifier.stream([RED] * 300)} == {"blue"}
        assert classifier.predict(RED)[0].embedding is None
    assert engine.is_closed


def test_its_second_array_is_the_embedding(folder: Path) -> None:
    with pipeline(model=folder, engine=OwnEngine(), embeddings=True) as classifier:
        np.testing.assert_allclose(classifier.embed([RED, RED]), [[1, -1, -1]] * 2, atol=1e-6)


@pytest.mark.parametrize("embeddings", [False, True])
def test_a_bare_array_is_an_error_that_says_so(folder: Path, embeddings: bool) -> None:
    with pipeline(model=folder, engine=OwnEngine(is_bare=True), embeddings=embeddings) as classifier:
        with pytest.raises(EngineError, match=r"own: run\(\) returned ndarray, not a tuple"):
            classifier(RED)
        (prediction, _) = classifier.predict([RED, RED])
        assert prediction.error is not None
        assert prediction.error.kind == "EngineError"


@pytest.mark.parametrize("engine", [None, 3, object(), type("NoRun", (), {"run": 1})()])
def test_an_object_that_cannot_run_is_an_error(folder: Path, engine: object) -> None:
    with pytest.raises(OptionError, match=r"is not an engine.*Engine"):
        pipeline(model=folder, engine=engine)
