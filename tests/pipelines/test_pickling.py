"""Pickling stores the arguments, and opens the model again."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pictag import ImageClassificationPipeline, pipeline
from pipelines.ownengine import OwnEngine
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

RED = np.full((6, 5, 3), (255, 0, 0), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
def test_a_copy_has_the_options_and_a_session_of_its_own(folder: Path, duplicate: Any) -> None:
    with pipeline(model=folder, top_k=2, batch_size=3, alpha="white", embeddings=True) as classifier:
        expected = classifier(RED)
        other: ImageClassificationPipeline[Any] = duplicate(classifier)
    with other:
        assert other.engine is not classifier.engine
        assert other.options == classifier.options
        assert other(RED) == expected
        assert other.embed(RED).shape == (1, 3)


def test_progress_is_dropped_because_it_belongs_to_its_process(folder: Path) -> None:
    with pipeline(model=folder, progress=lambda _: None) as classifier:
        assert classifier.options.progress is not None
        with pickle.loads(pickle.dumps(classifier)) as other:
            assert other.options.progress is None


def test_a_closed_pipeline_opens_again(folder: Path) -> None:
    with pipeline(model=folder) as classifier:
        pass
    with pickle.loads(pickle.dumps(classifier)) as other:
        assert other(RED)["label"] == "red"


def test_a_callers_own_engine_is_pickled_with_it(folder: Path) -> None:
    with (
        pipeline(model=folder, engine=OwnEngine(name="pickled")) as classifier,
        pickle.loads(pickle.dumps(classifier)) as other,
    ):
        assert other.engine.name == "pickled"
        assert other.engine is not classifier.engine
        assert other(RED)["label"] == "blue"
    unpicklable = OwnEngine()
    unpicklable.run = lambda pixel_values: ()  # type: ignore[method-assign]
    with (
        pipeline(model=folder, engine=unpicklable) as classifier,
        pytest.raises((pickle.PicklingError, AttributeError)),
    ):
        pickle.dumps(classifier)


@pytest.mark.slow
def test_a_new_process_can_use_it(folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with (
        pipeline(model=folder, top_k=3) as classifier,
        ProcessPoolExecutor(1, mp_context=context) as pool,
    ):
        assert pool.submit(classifier, RED).result(60) == classifier(RED)


def test_the_token_is_pickled_but_never_shown(folder: Path) -> None:
    with pipeline(model=folder, token="hf_secret") as classifier:
        assert "hf_secret" not in repr(classifier.options)
        with pickle.loads(pickle.dumps(classifier)) as other:
            assert other.options.token == "hf_secret"
