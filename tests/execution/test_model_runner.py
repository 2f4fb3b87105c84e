"""The steps of one model, with the caller's own engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pictag.engines.base import TensorInfo
from pictag.errors import EngineError, InvalidModel, PipelineClosed
from pictag.execution import BatchSizer, Executor, ModelRunner, run_one
from pictag.images import Failed, FetchLimits, ImageLimits, make_source
from pictag.models.graph_facts import EmbeddingTensor
from pictag.models.load import load_model
from pictag.models.reference import parse_reference
from tinymodel import make_image, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image


@dataclass
class OwnEngine:
    """Returns what ``answer`` makes of the pixel values."""

    answer: Callable[[np.ndarray], Any]
    runs: list[int] = field(default_factory=list)
    name: str = "own"
    inputs: tuple[TensorInfo, ...] = ()
    outputs: tuple[TensorInfo, ...] = ()

    def run(self, pixel_values: np.ndarray) -> Any:
        self.runs.append(len(pixel_values))
        return self.answer(pixel_values)

    def close(self) -> None:
        pass


def first_pixels(pixel_values: np.ndarray) -> np.ndarray:
    return pixel_values[:, :, 0, 0]


@pytest.fixture(scope="module")
def make_runner(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ModelRunner]:
    model = load_model(parse_reference(make_tiny_model(tmp_path_factory.mktemp("model"))))

    def make(answer: Callable[[np.ndarray], Any], **fields: Any) -> ModelRunner:
        runner = ModelRunner(
            model=model,
            engine=OwnEngine(answer),
            limits=ImageLimits(),
            fetch=FetchLimits(),
            decode="exact",
            batch_sizer=BatchSizer((4,)),
        )
        return replace(runner, **fields)

    return make


@pytest.mark.parametrize(
    ("answer", "found"),
    [(first_pixels, "ndarray"), (lambda pixels: [first_pixels(pixels)], "list"), (lambda _: (), "0 arrays")],
    ids=["bare array", "list", "empty"],
)
def test_an_engine_that_returns_no_tuple_of_arrays_is_an_error_that_says_so(
    make_runner: Callable[..., ModelRunner], answer: Any, found: str
) -> None:
    with pytest.raises(EngineError, match=rf"own: run\(\) returned {found}, not a tuple"):
        make_runner(answer).infer(np.zeros((1, 3, 8, 8), np.float32))


def test_an_engine_without_the_embedding_is_an_error(make_runner: Callable[..., ModelRunner]) -> None:
    runner = make_runner(lambda pixels: (first_pixels(pixels),), embedding=EmbeddingTensor(name="x", axis=1))
    with pytest.raises(EngineError, match="returned 1 arrays"):
        runner.infer(np.zeros((1, 3, 8, 8), np.float32))


def test_scores_of_another_shape_are_an_error(make_runner: Callable[..., ModelRunner]) -> None:
    with pytest.raises(InvalidModel, match=r"scores of shape \[2, 2\] for 2 images"):
        make_runner(lambda pixels: (first_pixels(pixels)[:, :2],)).infer(np.zeros((2, 3, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("shape", "axis"), [((5,), 1), ((5, 2, 3), 1), ((2, 3, 5), -1), ((7, 5), -1)], ids=str
)
def test_an_embedding_is_averaged_over_the_axes_that_the_last_layer_does_not_contract(
    make_runner: Callable[..., ModelRunner], shape: tuple[int, ...], axis: int
) -> None:
    tensor = np.random.default_rng(0).random((2, *shape), np.float32)
    runner = make_runner(
        lambda pixels: (first_pixels(pixels), tensor), embedding=EmbeddingTensor(name="x", axis=axis)
    )
    _, embedding = runner.infer(np.zeros((2, 3, 8, 8), np.float32))
    rows = np.moveaxis(tensor, axis, 1).reshape(2, 5, -1)
    np.testing.assert_allclose(embedding, rows.mean(axis=2), rtol=1e-6)


def test_more_images_than_a_batch_take_several_runs(make_runner: Callable[..., ModelRunner]) -> None:
    runner = make_runner(lambda pixels: (first_pixels(pixels),))
    pixels = np.random.default_rng(0).random((10, 3, 8, 8), np.float32)
    (logits,) = runner.infer(pixels)
    np.testing.assert_array_equal(logits, first_pixels(pixels))
    assert runner.engine.runs == [4, 4, 2]  # type: ignore[attr-defined]


def test_observe_sees_the_upright_image_in_the_worker(
    make_runner: Callable[..., ModelRunner], tmp_path: Path
) -> None:
    def observe(image: Image.Image) -> tuple[str, tuple[int, int], str]:
        return image.mode, image.size, threading.current_thread().name

    runner = make_runner(lambda pixels: (first_pixels(pixels),), observe=observe)
    with Executor(workers=1) as executor:
        source = make_source(make_image(tmp_path / "red.png", size=(12, 9)))
        assert executor.submit(runner, source).result(30).observed == ("RGB", (12, 9), "pictag-worker-0")
    assert run_one(runner, source).observed == ("RGB", (12, 9), "MainThread")


def test_one_image_in_the_callers_thread(make_runner: Callable[..., ModelRunner], tmp_path: Path) -> None:
    runner = make_runner(lambda pixels: (first_pixels(pixels),))
    outcome = run_one(runner, make_source(make_image(tmp_path / "red.png")))
    assert outcome.logits is not None
    assert outcome.logits.tolist() == [[1, -1, -1]]
    missing = run_one(runner, make_source(tmp_path / "missing.png"))
    assert type(missing.error).__name__ == "ImageNotFound"
    assert missing.error is not None
    failed = Failed(name="x", error=missing.error)  # type: ignore[arg-type]
    assert run_one(runner, failed).error is missing.error
    runner.state.is_closed = True
    with pytest.raises(PipelineClosed):
        run_one(runner, make_source(tmp_path / "red.png"))
