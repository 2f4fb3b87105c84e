"""``classifier.explain``: which areas of an image changed a label's score."""

from __future__ import annotations

import functools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictag import errors, pipeline
from pictag.pipelines.score_map import find_label
from probegraphs import make_probe
from tinymodel import make_tiny_model

GOLDFISH = "0001_n01443537_goldfish.jpg"
# A vision transformer's head: the mean over the tokens of patches.
TOKENS = (
    "patches = Conv<kernel_shape=[2, 2], strides=[2, 2]>(pixel_values, k) flat3 = Reshape(patches, shape) "
    "tokens = Transpose<perm=[0, 2, 1]>(flat3) active = Relu(tokens) "
    "mean = ReduceMean<axes=[1], keepdims=0>(active) y = MatMul(mean, v)"
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"), size=32)


@functools.cache
def draw_corner(width: int, height: int, x: int, y: int, edge: int) -> Image.Image:
    """A red square on black."""
    image = Image.new("RGB", (width, height), "black")
    image.paste((255, 0, 0), (x, y, x + edge, y + edge))
    return image


def locate(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    """The centre (x, y) of the places near the maximum."""
    rows, columns = np.nonzero(values >= 0.9 * np.nanmax(values))
    return float(columns.mean()), float(rows.mean())


@pytest.mark.parametrize("method", ["auto", "occlusion"])
@settings(max_examples=15)
@given(x=st.integers(0, 100), y=st.integers(0, 80))
def test_the_strongest_place_is_where_the_colour_is(tiny: Path, method: Any, x: int, y: int) -> None:
    with pipeline(model=tiny) as classifier:
        values = classifier.explain(draw_corner(140, 120, x, y, 40), "red", method=method)
    assert values.shape == (120, 140)
    assert values.dtype == np.float32
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    assert x - 14 <= column < x + 54  # a tenth of the image, which is a cell of the occluded grid
    assert y - 12 <= row < y + 52


def test_the_mean_of_the_map_is_the_logit_of_a_head_without_bias(tiny: Path) -> None:
    image = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))
    with pipeline(model=tiny) as classifier:
        logits = classifier.forward(classifier.preprocess(image))[0]
        for index in range(3):
            assert classifier.explain(image, index).mean() == pytest.approx(logits[index], abs=0.02)


@pytest.mark.shared
def test_what_the_models_crop_cuts_off_is_nan(shared: Path) -> None:
    model = shared / "models" / "mobilenet_v1_0.25_128"
    wide = Image.new("RGB", (400, 200), "gray")
    with pipeline(model=model) as classifier:  # resizes the shorter edge to 146 pixels, and crops to 128
        seen = np.isfinite(classifier.explain(wide))
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    assert (rows[0], 199 - rows[-1]) == pytest.approx((12, 12), abs=2)
    assert (columns[0], 399 - columns[-1]) == pytest.approx((112, 112), abs=2)
    assert seen[rows[0] : rows[-1], columns[0] : columns[-1]].all()
    with pipeline(model=model, crop="whole") as classifier:
        assert np.isfinite(classifier.explain(wide)).all()


def test_a_smaller_map_is_that_of_the_whole_image(tiny: Path) -> None:
    image = draw_corner(300, 120, 200, 20, 80)
    with pipeline(model=tiny, crop="whole") as classifier:
        full, small = classifier.explain(image, "red"), classifier.map_score(image, "red", max_edge=60)
        assert classifier.map_score(image, "red", max_edge=300).values.shape == (120, 300)
        with pytest.raises(errors.OptionError, match="max_edge"):
            classifier.map_score(image, max_edge=0)
    assert small.image.size == (60, 24)
    assert np.abs(small.values - full[2::5, 2::5]).max() < 1e-4


@pytest.mark.parametrize("method", ["auto", "occlusion"])
@pytest.mark.parametrize("x", [0, 130, 260])
def test_tiles_are_put_back_into_their_places(tiny: Path, method: Any, x: int) -> None:
    with pipeline(model=tiny, crop="tiles") as classifier:
        values = classifier.explain(draw_corner(300, 100, x, 30, 40), "red", method=method)
    assert np.isfinite(values).all()
    assert locate(values) == pytest.approx((x + 20, 50), abs=16)


@pytest.mark.shared
@pytest.mark.parametrize("number", range(1, 9))
def test_exif_orientation_is_undone(shared: Path, tiny: Path, number: int) -> None:
    photos = shared / "images" / "exif-orientation"
    with pipeline(model=tiny) as classifier:
        found = classifier.map_score(photos / f"Landscape_{number}.jpg", "blue")
        upright = classifier.explain(photos / "Landscape_1.jpg", "blue")
    assert found.image.size == (upright.shape[1], upright.shape[0])
    assert found.values.shape == upright.shape
    # The photographs differ in the number that is written on them, and in JPEG's noise.
    assert np.abs(found.values - upright).mean() < 0.1 * upright.std()


@pytest.mark.parametrize(
    ("folder", "options", "method"),
    [
        ("mobilenet_v2", {}, "activation"),
        ("mobilenet_v2", {"dtype": "q8", "engine": "openvino"}, "activation"),
        ("mobilenet_v2", {"dtype": "q8", "engine": "onnxruntime"}, "activation"),
        ("mobilenet_v1_0.25_128", {"mode": "throughput"}, "activation"),
        ("squeezenet_fp16_plain/squeezenet.onnx", {}, "activation"),
        ("nsfwjs_mobilenet_v2", {}, "occlusion"),  # three layers after the pooling
        (None, {}, "occlusion"),  # the embedded model averages an image and its mirror image
    ],
)
@pytest.mark.shared
@pytest.mark.filterwarnings("ignore::pictag.errors.PictagWarning")
def test_real_models_have_maps(
    shared: Path, folder: str | None, options: dict[str, Any], method: str
) -> None:
    model = "embedded" if folder is None else shared / "models" / folder
    photo = shared / "images" / "imagenet" / GOLDFISH
    with pipeline(model=model, **options) as classifier:
        found = classifier.map_score(photo)
        best = classifier.predict(photo)[0].labels[0]
    assert found.method == method
    assert found.label.index == best.index
    assert found.label.score == pytest.approx(best.score, abs=1e-5)
    assert np.nanmax(found.values) > 0
    assert np.nanstd(found.values) > 0


def test_a_head_on_tokens_is_explained_by_occlusion(tmp_path: Path) -> None:
    kernel = np.zeros((3, 3, 2, 2), np.float32)
    for channel in range(3):
        kernel[channel, channel] = 1
    weights = {"k": kernel, "shape": np.array([0, 3, 16], np.int64), "v": np.eye(3, dtype=np.float32)}
    folder = make_probe(tmp_path / "vit", TOKENS, weights=weights)
    with pipeline(model=folder, output="logits") as classifier:
        found = classifier.map_score(draw_corner(80, 80, 0, 40, 40), "red")
    assert found.method == "occlusion"
    assert locate(found.values) == pytest.approx((20, 60), abs=10)


@pytest.mark.parametrize(
    ("nodes", "config"),
    [
        ("y = Sigmoid(l)", {"problem_type": "multi_label_classification"}),
        ("y = Softmax(l)", {}),
        ("y = Identity(l)", {"problem_type": "multi_label_classification"}),
    ],
)
def test_graphs_with_an_activation_have_exact_maps(
    tmp_path: Path, nodes: str, config: dict[str, Any]
) -> None:
    folder = make_probe(tmp_path / "probe", nodes, config=config)
    with pipeline(model=folder) as classifier:
        found = classifier.map_score(draw_corner(80, 80, 40, 0, 40), "red")
        occluded = classifier.explain(draw_corner(80, 80, 40, 0, 40), "red", method="occlusion")
    assert found.method == "activation"
    assert locate(found.values) == pytest.approx((60, 20), abs=10)
    assert locate(occluded) == pytest.approx((60, 20), abs=10)


def test_a_model_with_one_logit_is_explained(tmp_path: Path) -> None:
    folder = make_probe(
        tmp_path / "one",
        "y = MatMul(flat, u)",
        "float[n,1] y",
        weights={"u": np.array([[3], [0], [0]], np.float32)},
        labels=("red",),
    )
    with pipeline(model=folder) as classifier:
        found = classifier.map_score(draw_corner(80, 80, 40, 40, 40))
    assert (found.label.label, found.method) == ("red", "activation")
    assert locate(found.values) == pytest.approx((60, 60), abs=10)


def test_a_head_that_the_reader_misreads_is_explained_by_occlusion(tmp_path: Path) -> None:
    """A Gemm's alpha isn't read, so the scores don't follow from the map; this is noticed."""
    weights = {"u": np.eye(3, dtype=np.float32)}
    folder = make_probe(tmp_path / "alpha", "y = Gemm<alpha=5.0>(flat, u)", weights=weights)
    with pipeline(model=folder) as classifier:
        found = classifier.map_score(draw_corner(80, 80, 40, 0, 40), "red")
    assert found.method == "occlusion"
    assert locate(found.values) == pytest.approx((60, 20), abs=10)


def test_an_engine_of_ones_own_is_explained_by_occlusion(tiny: Path) -> None:
    with pipeline(model=tiny) as first, pipeline(model=tiny, engine=first.engine) as classifier:
        found = classifier.map_score(draw_corner(80, 80, 40, 0, 40), "red")
    assert found.method == "occlusion"
    assert locate(found.values) == pytest.approx((60, 20), abs=10)


def test_a_graph_with_a_fixed_batch_is_occluded(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "fixed", batch=2, size=32)
    with pipeline(model=folder) as classifier:
        values = classifier.explain(draw_corner(80, 80, 40, 0, 40), "red", method="occlusion")
    assert locate(values) == pytest.approx((60, 20), abs=10)


def test_progress_counts_the_runs_of_occlusion(tiny: Path) -> None:
    calls: list[tuple[int, int]] = []
    with pipeline(model=tiny) as classifier:
        classifier.explain(
            Image.new("RGB", (9, 9)), method="occlusion", on_progress=lambda *call: calls.append(call)
        )
        assert calls[-1] == (64, 64)
        assert calls == sorted(set(calls))
        classifier.explain(Image.new("RGB", (9, 9)), on_progress=lambda *_: pytest.fail("one run"))


def test_a_label_is_found_by_text_name_and_index() -> None:
    labels = ("tabby, tabby cat", "crane", "tiger cat", "crane", "7")
    assert find_label(labels, "tabby, tabby cat") == 0
    assert find_label(labels, " Tabby CAT") == 0
    assert find_label(labels, "2") == find_label(labels, 2) == 2
    assert find_label(labels, "7") == 4
    with pytest.raises(errors.OptionError, match="2 labels have the name 'crane'"):
        find_label(labels, "crane")
    with pytest.raises(errors.OptionError, match="Did you mean 'tiger cat'"):
        find_label(labels, "tigr cat")
    for wrong in (-1, 5, "5", True):
        with pytest.raises(errors.OptionError):
            find_label(labels, wrong)


def test_mistakes_are_errors(tiny: Path, tmp_path: Path) -> None:
    with pipeline(model=tiny) as classifier:
        with pytest.raises(errors.OptionError, match="method='gradients' is not one of auto, occlusion"):
            classifier.explain(Image.new("RGB", (9, 9)), method="gradients")  # type: ignore[arg-type]  # wrong on purpose
        with pytest.raises(errors.ImageNotFound):
            classifier.explain(tmp_path / "missing.jpg")
    with pytest.raises(errors.PipelineClosed):
        classifier.explain(Image.new("RGB", (9, 9)))


def test_scores_that_are_not_numbers_are_an_error(tmp_path: Path) -> None:
    folder = make_probe(tmp_path / "nan", "m = Neg(l) s = Sqrt(m) y = Log(s)")
    with (
        pipeline(model=folder, output="logits") as classifier,
        pytest.raises(errors.EngineError, match="NaN"),
    ):
        classifier.explain(Image.new("RGB", (9, 9), "red"))


def test_external_weights_are_read(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "inside", size=32)
    outside = tmp_path / "outside"
    shutil.copytree(folder, outside)
    path = outside / "onnx" / "model.onnx"
    onnx.save(onnx.load(path), path, save_as_external_data=True, size_threshold=0, location="model.onnx_data")
    assert json.loads((outside / "config.json").read_text())["id2label"]
    image = draw_corner(80, 80, 40, 0, 40)
    with pipeline(model=folder) as first, pipeline(model=outside) as second:
        found = second.map_score(image)
        assert found.method == "activation"
        assert np.array_equal(first.explain(image), found.values)
