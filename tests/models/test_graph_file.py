"""The structure of ``.onnx`` files, compared with what the onnx package reads."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pictag.errors import InvalidModel, ModelFileMissing, PictagError
from pictag.models.graph_file import Graph, read_graph_file
from pictag.models.graph_values import TensorKinds
from tinymodel import make_graph


def read(tmp_path: Path, model: onnx.ModelProto) -> Graph:
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return read_graph_file(path)


def put_outside(tensor: TensorProto, location: str) -> TensorProto:
    """The same tensor, with its data in another file."""
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value="0")
    return tensor


def small_tensor(name: str) -> TensorProto:
    import numpy as np

    return numpy_helper.from_array(np.zeros(2, np.float32), name)


def test_a_graph_has_nodes_weights_inputs_and_outputs(tmp_path: Path) -> None:
    graph = read(tmp_path, make_graph(size=8))
    assert [(node.op, node.inputs, node.outputs) for node in graph.nodes] == [
        ("ReduceMean", ("pixel_values",), ("means",)),
        ("MatMul", ("means", "weights"), ("logits",)),
    ]
    assert graph.weights == {"weights": (3, 3)}
    assert graph.inputs == {"pixel_values": (None, 3, 8, 8)}
    assert graph.outputs == {"logits": (None, 3)}
    assert graph.output_types == {"logits": "float32"}
    assert (graph.external, graph.metadata, graph.opset) == ([], {}, 17)


def test_the_dimensions_of_constants_are_read(tmp_path: Path) -> None:
    model = make_graph()
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=small_tensor("c")))
    assert read(tmp_path, model).weights["c"] == (2,)


def test_weights_listed_as_inputs_are_not_the_image(tmp_path: Path) -> None:
    model = make_graph(size=8)
    weights = helper.make_tensor_value_info("weights", TensorProto.FLOAT, [3, 3])
    model.graph.input.insert(0, weights)
    assert read(tmp_path, model).input_shape == (None, 3, 8, 8)


def test_metadata_is_read(tmp_path: Path) -> None:
    model = make_graph()
    model.metadata_props.add(key="task", value="classify")
    assert read(tmp_path, model).metadata == {"task": "classify"}


def test_external_files_are_found_wherever_a_tensor_can_be(tmp_path: Path) -> None:
    model = make_graph()
    put_outside(model.graph.initializer[0], "initializer.data")
    constant = helper.make_node("Constant", [], ["c"], value=put_outside(small_tensor("c"), "constant.data"))
    branch = helper.make_graph([constant], "branch", [], [])
    branch.initializer.append(put_outside(small_tensor("b"), "branch.data"))
    inner = helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=branch)], "inner", [], [])
    model.graph.node.append(helper.make_node("Loop", ["n"], ["z"], body=inner))
    sparse = model.graph.sparse_initializer.add()
    sparse.values.CopyFrom(put_outside(small_tensor("v"), "values.data"))
    sparse.indices.CopyFrom(put_outside(small_tensor("i"), "indices.data"))
    listed = helper.make_node("Odd", [], [], tensors=[put_outside(small_tensor("t"), "list.data")])
    model.graph.node.append(listed)
    function = model.functions.add(name="f", domain="d")
    function.node.append(
        helper.make_node("Constant", [], ["c"], value=put_outside(small_tensor("f"), "function.data"))
    )
    training = model.training_info.add()
    training.algorithm.initializer.append(put_outside(small_tensor("s"), "training.data"))
    assert set(read(tmp_path, model).external) == {
        f"{name}.data"
        for name in ("initializer", "constant", "branch", "values", "indices", "list", "function", "training")
    }


def test_weights_of_half_a_gigabyte_are_not_copied(tmp_path: Path) -> None:
    path = tmp_path / "large.onnx"
    model = make_graph()
    model.graph.initializer.append(small_tensor("large"))
    head = model.SerializeToString()
    # One more initializer, its raw_data half a gigabyte of zeros in a sparse file.
    size = 1 << 29
    tensor = b"\x4a" + varint(size)
    graph = b"\x2a" + varint(len(tensor) + size) + tensor
    with path.open("wb") as file:
        file.write(head + b"\x3a" + varint(len(graph) + size) + graph)
        file.truncate(file.tell() + size)
    tracemalloc.start()
    assert read_graph_file(path).input_shape == (None, 3, 8, 8)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


@pytest.mark.parametrize("data", [b"", b"not a model", b"\xff" * 100, b"<html></html>", bytes(100)])
def test_a_file_that_is_not_onnx_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(InvalidModel, match=r"model\.onnx"):
        read_graph_file(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing):
        read_graph_file(tmp_path / "model.onnx")


def test_damaged_files_are_read_or_rejected(tmp_path: Path) -> None:
    model = make_graph(softmax=True)
    put_outside(model.graph.initializer[0], "model.data")
    good = model.SerializeToString()
    path = tmp_path / "model.onnx"
    draw = random.Random(7)
    refused = 0
    for _ in range(400):
        data = bytearray(good[: draw.randrange(1, len(good) + 1)] if draw.random() < 0.3 else good)
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        path.write_bytes(data)
        try:
            read_graph_file(path)
        except PictagError:
            refused += 1
    assert 50 < refused < 400


def test_domains_and_attributes_that_matter_are_read(tmp_path: Path) -> None:
    model = make_graph(softmax=True)
    own = helper.make_node("Head", ["probabilities"], ["y"], domain="own", activation="Sigmoid", axis=-2)
    model.graph.node.append(own)
    model.opset_import.append(helper.make_opsetid("own", 3))
    *_, softmax, head = read(tmp_path, model).nodes
    assert (softmax.domain, dict(softmax.attributes)) == ("", {"axis": -1})
    assert (head.domain, dict(head.attributes)) == ("own", {"activation": "Sigmoid", "axis": -2})
    assert read(tmp_path, model).opset == 17
    model.opset_import[0].domain = "ai.onnx"
    assert read(tmp_path, model).opset == 17


@pytest.mark.parametrize(
    ("kind", "name"),
    [(TensorProto.FLOAT16, "float16"), (TensorProto.INT64, "int64"), (TensorProto.FLOAT8E4M3FN, "type 17")],
)
def test_the_types_of_outputs_are_read(tmp_path: Path, kind: int, name: str) -> None:
    model = make_graph()
    model.graph.output[0].type.tensor_type.elem_type = kind
    model.graph.output.append(
        helper.make_value_info("map", helper.make_sequence_type_proto(model.graph.output[0].type))
    )
    assert read(tmp_path, model).output_types == {"logits": name, "map": "sequence"}


@pytest.mark.shared
def test_real_graphs_are_read_as_the_onnx_package_reads_them(shared: Path) -> None:
    for path in sorted((shared / "models").rglob("*.onnx")):
        graph = read_graph_file(path)
        top = onnx.load(path).graph
        assert [(node.op, *node.inputs, *node.outputs) for node in graph.nodes] == [
            (node.op_type, *node.input, *node.output) for node in top.node
        ]
        weights = {tensor.name: tuple(tensor.dims) for tensor in top.initializer}
        constants = [node for node in top.node if node.op_type == "Constant"]
        weights |= {node.output[0]: tuple(node.attribute[0].t.dims) for node in constants}
        assert graph.weights == weights
        image = next(value for value in top.input if value.name not in weights)
        assert graph.input_shape == shape_of(image)
        assert graph.outputs == {value.name: shape_of(value) for value in top.output}
        kind = "probabilities" if top.node[-1].op_type == "Softmax" else "logits"
        assert [TensorKinds(graph).find(value.name) for value in top.output] == [kind]


def shape_of(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    return tuple(dimension.dim_value or None for dimension in value.type.tensor_type.shape.dim)
