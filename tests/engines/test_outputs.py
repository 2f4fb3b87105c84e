"""Tensors that an engine returns after the scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from pictag.engines.registry import ENGINE_NAMES, list_installed, open_engine
from pictag.errors import EngineError, InvalidModel
from pictag.options import EngineOptions

each_engine = pytest.mark.parametrize(
    "engine",
    [
        pytest.param(name, marks=pytest.mark.skipif(name not in list_installed(), reason=f"pictag[{name}]"))
        for name in ENGINE_NAMES
    ],
)
PIXELS = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
MEANS = PIXELS.mean(axis=(2, 3))
WEIGHTS = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
OPTIONS = EngineOptions(threads=1)


def write(path: Path, *, batch: str = "n", outputs: str = "float[n,4] scores") -> Path:
    """A graph with the tensors map [N, 3, 1, 1], flat [N, 3], average [3], logits [N, 4] and scores."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]> g (float[{batch},3,8,8] x) => ({outputs}) {{
          map = GlobalAveragePool(x) flat = Flatten(map)
          average = ReduceMean<axes=[0], keepdims=0>(flat) centred = Sub(flat, average)
          logits = MatMul(centred, weights) scores = Softmax(logits) }}"""
    )
    model.graph.initializer.append(numpy_helper.from_array(WEIGHTS, "weights"))
    onnx.save(model, path)
    return path


@each_engine
def test_tensors_that_were_asked_for_follow_the_scores(engine: str, tmp_path: Path) -> None:
    session = open_engine(engine, write(tmp_path / "m.onnx"), OPTIONS, outputs=("flat", "map", "logits"))
    scores, flat, map_, logits = session.run(PIXELS)
    np.testing.assert_allclose(flat, MEANS, atol=1e-6)
    np.testing.assert_allclose(map_, MEANS[:, :, None, None], atol=1e-6)
    np.testing.assert_allclose(logits, (MEANS - MEANS.mean(axis=0)) @ WEIGHTS, atol=1e-6)
    np.testing.assert_allclose(scores, open_engine(engine, tmp_path / "m.onnx", OPTIONS).run(PIXELS)[0])


@each_engine
def test_the_engines_own_outputs_stay_those_of_the_graph(engine: str, tmp_path: Path) -> None:
    session = open_engine(engine, write(tmp_path / "m.onnx"), OPTIONS, outputs=("flat", "logits"))
    assert [output.name for output in session.outputs] == ["scores"]


@each_engine
@pytest.mark.parametrize("asked", ["flat", "scores"])
def test_a_tensor_that_is_an_output_already_can_be_asked_for(engine: str, asked: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", outputs="float[n,4] scores, float[n,3] flat")
    scores, found = open_engine(engine, path, OPTIONS, outputs=(asked,)).run(PIXELS)
    assert scores.shape == (5, 4)
    np.testing.assert_allclose(found, MEANS if asked == "flat" else scores, atol=1e-6)


@each_engine
def test_a_fixed_batch_is_trimmed_in_every_output(engine: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", batch="2", outputs="float[2,4] scores")
    scores, flat = open_engine(engine, path, OPTIONS, outputs=("flat",)).run(PIXELS)
    assert scores.shape == (5, 4)
    np.testing.assert_allclose(flat, MEANS, atol=1e-6)


@each_engine
def test_a_tensor_that_the_graph_does_not_have_is_an_error_that_names_it(engine: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"m\.onnx.*missing"):
        open_engine(engine, write(tmp_path / "m.onnx"), OPTIONS, outputs=("missing",))


@each_engine
def test_a_tensor_without_a_row_for_each_image_is_an_engine_error(engine: str, tmp_path: Path) -> None:
    session = open_engine(engine, write(tmp_path / "m.onnx"), OPTIONS, outputs=("average",))
    with pytest.raises(EngineError, match=r"'average'.*\[3\] for 5 images.*embedding_output"):
        session.run(PIXELS)


@each_engine
@pytest.mark.parametrize("linked", [False, True])
def test_weights_outside_the_file_are_found(engine: str, linked: bool, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    model = onnx.load(write(folder / "m.onnx"))
    onnx.save(
        model,
        folder / "m.onnx",
        save_as_external_data=True,
        location="m.onnx_data",
        size_threshold=0,
    )
    if linked:  # as in the Hub's cache
        (tmp_path / "blobs").mkdir()
        (folder / "config.json").write_text("{}")
        for number, name in enumerate(("m.onnx", "m.onnx_data", "config.json")):
            (folder / name).rename(tmp_path / "blobs" / str(number))
            (folder / name).symlink_to(Path("..") / "blobs" / str(number))
    try:
        plain = open_engine(engine, folder / "m.onnx", OPTIONS)
    except InvalidModel as error:
        pytest.skip(f"not without further outputs either: {error}")
    scores, flat = open_engine(engine, folder / "m.onnx", OPTIONS, outputs=("flat",)).run(PIXELS)
    np.testing.assert_allclose(scores, plain.run(PIXELS)[0], atol=1e-6)
    np.testing.assert_allclose(flat, MEANS, atol=1e-6)
