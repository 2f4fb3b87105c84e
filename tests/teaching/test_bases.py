"""Bases of every kind: the taught model has the base's preprocessing and its embedding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from blockimages import make_block_image, make_classes
from pictag import pipeline
from pictag.similarity import normalize
from pictag.teaching import teach
from probegraphs import make_model, make_probe, write_probe
from tinymodel import make_graph

MAP_HEAD = "m = Conv(pixel_values, k) p = GlobalAveragePool(m) y = Flatten<axis=1>(p)"
CONDITION = "sum = ReduceSum<keepdims=0>(flat) yes = Cast<to=9>(sum)"
HALF_HEAD = "h = Cast<to=10>(flat) z = MatMul(h, w16) y = Cast<to=1>(z)"
KERNEL = {"k": np.eye(3, dtype=np.float32)[:, :, None, None]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The classes warm and cold."""
    return make_classes(tmp_path_factory.mktemp("data") / "photos")


def check(base: Path, photos: Path, output: Path) -> None:
    """Teach, and compare what the model sees with what the base sees."""
    teach(photos, output, base=base)
    images = [make_block_image(main, 77) for main in (0, 2)]
    with (
        pipeline(model=base, embeddings=True) as original,
        pipeline(model=output, embeddings=True) as taught,
    ):
        assert taught.model.spec == original.model.spec
        assert np.allclose(taught.embed(images), normalize(original.embed(images)), atol=1e-3)
        assert [one.labels[0].label for one in taught.predict(images)] == ["warm", "cold"]


@pytest.mark.parametrize("opset", [13, 17, 18, 21])  # reductions take their axes differently since 18
def test_a_map_is_averaged(photos: Path, tmp_path: Path, opset: int) -> None:
    base = make_probe(tmp_path / "base", MAP_HEAD, weights=KERNEL, opset=opset)
    check(base, photos, tmp_path / "model")


def test_half_precision(photos: Path, tmp_path: Path) -> None:
    weights = {"w16": np.eye(3, dtype=np.float16)}
    check(make_probe(tmp_path / "base", HALF_HEAD, weights=weights), photos, tmp_path / "model")


def test_a_fixed_batch(photos: Path, tmp_path: Path) -> None:
    base = make_probe(tmp_path / "base", "y = Identity(l)", "float[1,3] y", batch="1")
    check(base, photos, tmp_path / "model")


def test_a_graph_with_branches_keeps_what_they_read(photos: Path, tmp_path: Path) -> None:
    branch = helper.make_graph(
        [helper.make_node("Add", ["flat", "shift"], ["out"])],
        "branch",
        [],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
    )
    model = make_model(
        f"{CONDITION} q = Identity(flat) y = MatMul(q, w2)", weights={"w2": np.eye(3, dtype=np.float32)}
    )
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "shift"))
    place = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "q")
    chosen = helper.make_node("If", ["yes"], ["q"], then_branch=branch, else_branch=branch)
    model.graph.node[place].CopyFrom(chosen)
    check(write_probe(tmp_path / "base", model), photos, tmp_path / "model")


def test_weights_in_a_linked_file_beside_it(photos: Path, tmp_path: Path) -> None:
    """As in the Hub's cache, where every file is a link."""
    base = make_probe(tmp_path / "base", "y = Identity(l)")
    (path,) = (base).rglob("*.onnx")
    graph = onnx.load(path)
    for tensor in graph.graph.initializer:
        tensor.raw_data = onnx.numpy_helper.to_array(tensor).tobytes()
    onnx.save(graph, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    blobs = tmp_path / "base" / "blobs"
    blobs.mkdir()
    for file in (path, path.with_name("weights.bin")):
        file.rename(blobs / file.name)
        file.symlink_to(blobs / file.name)
    check(base, photos, tmp_path / "model")
    assert [file.name for file in (tmp_path / "model" / "onnx").iterdir()] == ["model.onnx"]


def test_a_plain_file_with_labels_and_settings(photos: Path, tmp_path: Path) -> None:
    base = tmp_path / "plain.onnx"
    onnx.save(make_graph(), base)
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n", encoding="utf-8")
    (tmp_path / "pictag.toml").write_text(
        'size = [8, 8]\nmean = [0.5, 0.5, 0.5]\nstd = 0.5\nresample = "bicubic"\ncrop = 1.0\n'
        "scale = 0.00390625\n"
        'channel_order = "RGB"\nthresholds = {red = 0.9}\n',
        encoding="utf-8",
    )
    check(base, photos, tmp_path / "model")


@pytest.mark.shared
@pytest.mark.slow
def test_an_8_bit_model(shared: Path, tmp_path: Path) -> None:
    base = shared / "models" / "mobilenet_v2"
    photos = make_classes(tmp_path / "photos")
    teach(photos, tmp_path / "model", base=base, dtype="q8", engine="onnxruntime")
    images = [make_block_image(main, 77) for main in (0, 2)]
    with (
        pipeline(model=base, dtype="q8", embeddings=True, engine="onnxruntime") as original,
        pipeline(model=tmp_path / "model", embeddings=True, engine="onnxruntime") as taught,
    ):
        assert taught.model.quantization == "static"
        assert np.allclose(taught.embed(images), normalize(original.embed(images)), atol=1e-3)
