"""Embeddings: the vector that the layer of the scores reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pictag import pipeline
from pictag.errors import ImageNotFound, OptionError, UnknownOption
from tinymodel import COLOURS, make_tiny_model

if TYPE_CHECKING:
    from pathlib import Path

ARRAYS = [np.full((6, 5, 3), colour, np.uint8) for colour in COLOURS.values()]
MEANS = [[1, -1, -1], [-1, 1, -1], [-1, -1, 1]]  # of each channel, which the last layer of the model reads


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize(
    "options", [{"engine": "onnxruntime"}, {"engine": "openvino"}, {"threads": 1}], ids=str
)
def test_embeddings_come_for_one_image_several_and_many(folder: Path, options: dict[str, Any]) -> None:
    with pipeline(model=folder, embeddings=True, **options) as classifier:
        one = classifier.embed(ARRAYS[0])
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, MEANS[:1], atol=1e-6)
        np.testing.assert_allclose(classifier.embed(ARRAYS), MEANS, atol=1e-6)
        np.testing.assert_allclose(classifier.embed(iter(ARRAYS * 100), batch_size=7), MEANS * 100, atol=1e-6)
        assert len(classifier.embed([])) == 0


def test_predictions_carry_them_in_the_same_pass(folder: Path) -> None:
    with pipeline(model=folder, embeddings=True) as classifier:
        for predictions in (classifier.predict(ARRAYS), list(classifier.stream(ARRAYS))):
            assert [prediction.labels[0].label for prediction in predictions] == list(COLOURS)
            embeddings: Any = [prediction.embedding for prediction in predictions]
            np.testing.assert_allclose(embeddings, MEANS, atol=1e-6)
        (failed,) = classifier.predict("missing.png")
        assert failed.embedding is None


def test_they_do_not_change_scores_or_comparisons(folder: Path) -> None:
    with pipeline(model=folder, embeddings=True) as classifier, pipeline(model=folder) as plain:
        assert classifier.predict(ARRAYS, top_k=None) == plain.predict(ARRAYS, top_k=None)
        assert "embedding" not in repr(classifier.predict(ARRAYS[0]))
        assert plain.predict(ARRAYS[0])[0].embedding is None


def test_the_tensor_can_be_named(folder: Path) -> None:
    with pipeline(model=folder, embedding_output="logits") as classifier:
        np.testing.assert_allclose(classifier.embed(ARRAYS), 2 * np.array(MEANS), atol=1e-6)
    with pytest.raises(OptionError, match="embedding_output='poolr'"):
        pipeline(model=folder, embedding_output="poolr")


def test_without_embeddings_embed_says_how_to_get_them(folder: Path) -> None:
    with pipeline(model=folder) as classifier, pytest.raises(OptionError, match="embeddings=True"):
        classifier.embed(ARRAYS)


def test_the_first_images_error_is_raised_and_options_are_checked(folder: Path) -> None:
    with pipeline(model=folder, embeddings=True) as classifier:
        with pytest.raises(ImageNotFound):
            classifier.embed([ARRAYS[0], "missing.png"])
        with pytest.raises(OptionError, match="batch_size=0"):
            classifier.embed(ARRAYS, batch_size=0)
        with pytest.raises((TypeError, UnknownOption)):
            classifier.embed(ARRAYS, top_k=3)  # type: ignore[call-arg]


def test_the_pipelines_scoring_options_hold_for_embed(folder: Path) -> None:
    """A batch size given to `pipeline()` isn't replaced by the default of ``embed``."""
    with pipeline(model=folder, embeddings=True, batch_size=2, timeout_s=3) as classifier:
        np.testing.assert_allclose(classifier.embed(ARRAYS), MEANS, atol=1e-6)
