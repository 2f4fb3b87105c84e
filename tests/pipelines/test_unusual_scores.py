"""Infinite scores have one finite rendering everywhere, and NaN is the image's error, never a label."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pictag import pipeline
from pictag.cli import main
from pictag.errors import EngineError, OptionError
from probegraphs import LOGITS, RED, make_probe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = float(np.finfo(np.float32).max)
MASKED = "m = Add(l, mask) y = Identity(m)"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    RED.save(path)
    return path


def make_masked(folder: Path, *mask: float, **more: Any) -> Path:
    """A graph that adds ``mask`` to the logits, as exports do for classes that are switched off."""
    return make_probe(folder, MASKED, weights={"mask": np.array(mask, np.float32)}, **more)


@pytest.fixture
def strict() -> Iterator[None]:
    """Numpy's errors are exceptions, as some programs set it."""
    before = np.seterr(all="raise")
    yield
    np.seterr(**before)


@pytest.mark.parametrize(("function", "score"), [("softmax", 0.0), ("sigmoid", 0.0), ("none", -LARGEST)])
def test_a_class_that_is_switched_off_has_the_lowest_score(
    function: Any, score: float, tmp_path: Path
) -> None:
    with pipeline(model=make_masked(tmp_path, 0, 0, -np.inf), top_k=None) as classifier:
        entries = classifier(RED, function_to_apply=function)
    assert entries[-1] == {"label": "blue", "score": score}
    assert entries[0]["label"] == "red"


def test_infinite_scores_are_the_same_number_in_every_format(tmp_path: Path, image: Path) -> None:
    folder = make_masked(tmp_path / "m", 0, 0, -np.inf)
    scores = {}
    for ending in ("jsonl", "csv", "parquet"):
        out = tmp_path / f"out.{ending}"
        assert main(["classify", str(image), "-m", str(folder), "-k", "all", "-o", str(out),
                     "--function-to-apply", "none", "-q"]) == 0  # fmt: skip
        if ending == "jsonl":
            entry = json.loads(out.read_text(), parse_constant=pytest.fail)
            scores[ending] = entry["labels"][-1]["score"]
        elif ending == "csv":
            with out.open(newline="") as stream:
                scores[ending] = float(list(csv.DictReader(stream))[-1]["score"])
        else:
            parquet = pytest.importorskip("pyarrow.parquet")
            scores[ending] = parquet.read_table(out).to_pylist()[0]["labels"][-1]["score"]
    assert scores == dict.fromkeys(scores, pytest.approx(-LARGEST))


@pytest.mark.parametrize("mask", [(0, 0, np.nan), (np.nan, 0, 0), (0, np.inf, 0), (np.inf, -np.inf, 0)])
def test_nan_is_the_images_error(mask: tuple[float, ...], tmp_path: Path) -> None:
    with pipeline(model=make_masked(tmp_path, *mask)) as classifier:
        (failed,) = classifier.predict(RED)
        assert failed.labels == ()
        assert failed.error is not None
        assert failed.error.kind == "EngineError"
        assert "The model returned NaN" in failed.error.message
        with pytest.raises(EngineError, match="returned NaN"):
            classifier(RED)


def test_nan_fails_its_own_image_only(tmp_path: Path) -> None:
    # The logarithm of a negative number is NaN: of the images, only a black one has that.
    nodes = "d = Sub(l, one) r = Sqrt(d) y = MatMul(r, w)"
    folder = make_probe(tmp_path, nodes, weights={"one": np.array([1, -1, -1], np.float32)})
    black = np.zeros((8, 8, 3), np.uint8)
    with pipeline(model=folder, batch_size=3) as classifier:
        kinds = [found.error and found.error.kind for found in classifier.predict([RED, black, RED])]
    assert kinds == [None, "EngineError", None]


def test_an_embedding_with_nan_is_the_images_error(tmp_path: Path) -> None:
    nodes = "d = Sub(l, one) e = Sqrt(d) c = Clip(l, low, high) s = Add(c, c) y = MatMul(s, w)"
    weights = {name: np.float32(value) for name, value in (("one", 9), ("low", 0), ("high", 5))}
    folder = make_probe(tmp_path, nodes, weights=weights)
    with pipeline(model=folder, embeddings=True, embedding_output="e") as classifier:
        with pytest.raises(EngineError, match="embedding with NaN"):
            classifier.embed(RED)
        assert classifier.predict(RED)[0].error is not None


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize("function", [None, "softmax", "sigmoid", "none"])
def test_an_underflow_is_no_error_where_numpy_raises(function: Any, tmp_path: Path) -> None:
    nodes = "h = Mul(l, large) y = Identity(h)"
    folder = make_probe(
        tmp_path, nodes, weights={"large": np.float32(100)}, config={"pictag": {"temperature": 0.5}}
    )
    dim = np.full((8, 8, 3), 1e-6, np.float32)
    with pipeline(model=folder, top_k=None, output="logits") as classifier:
        for one in (RED, dim):
            assert classifier.predict(one, function_to_apply=function)[0].error is None
            assert len(classifier([one, one], function_to_apply=function)[1]) == 3
        assert classifier.postprocess(100 * LOGITS)[0]["label"] == "red"


@pytest.mark.usefixtures("strict")
def test_a_mask_is_no_error_where_numpy_raises(tmp_path: Path) -> None:
    with pipeline(model=make_masked(tmp_path, 0, 0, -np.inf)) as classifier:
        assert classifier(RED) == {"label": "red", "score": pytest.approx(1 / (1 + np.exp(-4)))}


@pytest.mark.parametrize("options", [{"min_score": 50}, {"min_score": 1.5, "function_to_apply": "sigmoid"}])
def test_a_minimum_above_1_is_refused_for_probabilities(options: Any, tmp_path: Path) -> None:
    folder = make_probe(tmp_path, "y = Identity(l)")
    with pytest.raises(OptionError, match=r"min_score is .* probabilities from 0 to 1"):
        pipeline(model=folder, **options)
    with pipeline(model=folder) as classifier:
        with pytest.raises(OptionError, match="min_score"):
            classifier(RED, **options)
        assert classifier(RED, min_score=1.0) is None
        assert classifier(RED, min_score=2, function_to_apply="none") == {"label": "red", "score": 4.0}


@pytest.mark.parametrize(
    ("nodes", "config"),
    [("y = Softmax(l)", {}), ("y = Identity(l)", {"problem_type": "multi_label_classification"})],
)
def test_a_minimum_above_1_is_refused_whatever_makes_the_probabilities(
    nodes: str, config: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=r"Use 0\.5 for 50 %"):
        pipeline(model=make_probe(tmp_path, nodes, config=config), min_score=50)


def test_a_minimum_above_1_is_taken_for_a_regression(tmp_path: Path) -> None:
    folder = make_probe(tmp_path, "y = Identity(l)", config={"problem_type": "regression"})
    with pipeline(model=folder, min_score=3, top_k=None) as classifier:
        assert [entry["label"] for entry in classifier(RED)] == ["red"]


def test_a_threshold_above_1_names_its_label_and_file(tmp_path: Path) -> None:
    folder = make_probe(tmp_path, "y = Identity(l)", config={"pictag": {"thresholds": {"red": 60}}})
    with pytest.raises(OptionError, match=r"config\.json: the threshold of 'red' is 60"):
        pipeline(model=folder)
    with pipeline(model=folder, function_to_apply="none") as classifier:
        assert classifier(RED) == {"label": "green", "score": 0.0}
