"""Graphs with another last layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from pictag.errors import InvalidModel
from pictag.teaching.head_graph import replace_head
from probegraphs import make_model

HEAD = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
BIAS = np.array([0, 1], np.float32)


def replace(model: onnx.ModelProto, folder: Path, **more: int) -> Path:
    onnx.save(model, folder / "base.onnx")
    output = folder / "new.onnx"
    replace_head(
        folder / "base.onnx", {}, embedding="flat", averaged=(), head=HEAD, bias=BIAS, output=output, **more
    )
    return output


def test_what_the_embedding_doesnt_need_is_gone(tmp_path: Path) -> None:
    model = make_model(
        "y = Identity(l) z = MatMul(l, big)", "float[n,3] y, float[n,3] z", weights={"big": np.eye(3)}
    )
    graph = onnx.load(replace(model, tmp_path)).graph
    assert [node.op_type for node in graph.node][:2] == ["GlobalAveragePool", "Flatten"]
    assert not {"w", "big"} & {tensor.name for tensor in graph.initializer}
    assert [output.name for output in graph.output] == ["logits"]


def test_the_graph_computes_the_layer_of_the_embedding_of_length_1(tmp_path: Path) -> None:
    session = onnxruntime.InferenceSession(replace(make_model("y = Identity(l)"), tmp_path))
    pixels = np.ones((2, 3, 8, 8), np.float32) * np.array([3, 4, 0], np.float32)[:, None, None]
    (found,) = session.run(None, {"pixel_values": pixels})
    assert np.allclose(found, [[0.6, 1.8]] * 2, atol=1e-6)
    (black,) = session.run(None, {"pixel_values": 0 * pixels})
    assert np.allclose(black, [[0, 1]] * 2)


def test_a_large_graph_has_its_weights_in_a_second_file(tmp_path: Path) -> None:
    model = make_model("y = Identity(flat)", weights={})
    model.graph.node.insert(2, onnx.helper.make_node("MatMul", ["flat", "wide"], ["scaled"]))
    wide = np.eye(3, 400, dtype=np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(wide, "wide"))
    onnx.save(model, tmp_path / "base.onnx")
    output = tmp_path / "new.onnx"
    replace_head(
        tmp_path / "base.onnx",
        {},
        embedding="scaled",
        averaged=(),
        head=np.zeros((400, 2), np.float32),
        bias=BIAS,
        output=output,
        most_bytes=1000,
    )
    assert (tmp_path / "new.onnx_data").is_file()
    (found,) = onnxruntime.InferenceSession(output).run(
        None, {"pixel_values": np.ones((1, 3, 8, 8), np.float32)}
    )
    assert np.allclose(found, [BIAS])


def test_a_graph_of_very_old_operations_is_refused(tmp_path: Path) -> None:
    model = make_model("y = Identity(l)")
    model.opset_import[0].version = 6
    with pytest.raises(InvalidModel, match="newer opset"):
        replace(model, tmp_path)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "base.onnx").write_bytes(b"not a graph")
    with pytest.raises(InvalidModel, match="can't be read as an ONNX graph"):
        replace_head(
            tmp_path / "base.onnx",
            {},
            embedding="flat",
            averaged=(),
            head=HEAD,
            bias=BIAS,
            output=tmp_path / "x",
        )
