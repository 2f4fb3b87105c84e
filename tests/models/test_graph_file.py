"""Facts read from ``.onnx`` files, compared with the onnx package."""

from __future__ import annotations

import random
import tracemalloc
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pictag.errors import InvalidModel, ModelFileMissing, PictagError
from pictag.models.graph_file import GraphFacts, read_graph_file
from tinymodel import make_graph


def read(tmp_path: Path, model: onnx.ModelProto) -> GraphFacts:
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


def test_a_graph_says_its_input_and_that_it_gives_logits(tmp_path: Path) -> None:
    facts = read(tmp_path, make_graph(size=8))
    assert facts == GraphFacts(
        external=(), metadata={}, activation=None, input_shape=(None, 3, 8, 8), quantization="none"
    )


def test_a_softmax_before_transparent_operations_is_found(tmp_path: Path) -> None:
    model = make_graph(softmax=True)
    assert read(tmp_path, model).activation == "Softmax"
    model.graph.node.append(helper.make_node("Identity", ["probabilities"], ["same"]))
    model.graph.node.append(helper.make_node("Cast", ["same"], ["logits"], to=TensorProto.FLOAT))
    model.graph.output[0].name = "logits"
    assert read(tmp_path, model).activation == "Softmax"


def test_an_inner_softmax_is_not_the_end(tmp_path: Path) -> None:
    model = make_graph(softmax=True)
    model.graph.node.append(helper.make_node("Relu", ["probabilities"], ["logits"]))
    model.graph.output[0].name = "logits"
    assert read(tmp_path, model).activation is None


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


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
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


@pytest.mark.shared
def test_real_graphs_are_read_as_the_onnx_package_reads_them(shared: Path) -> None:
    for path in sorted((shared / "models").rglob("*.onnx")):
        facts = read_graph_file(path)
        model = onnx.load(path)
        weights = {tensor.name for tensor in model.graph.initializer}
        image = next(value for value in model.graph.input if value.name not in weights)
        shape = tuple(dimension.dim_value or None for dimension in image.type.tensor_type.shape.dim)
        assert facts.input_shape == shape
        assert (facts.activation == "Softmax") is (model.graph.node[-1].op_type == "Softmax")


@pytest.mark.parametrize(
    ("operations", "quantization"),
    [
        (("DequantizeLinear",), "none"),  # weights that are stored in 8 bits alone
        (("QuantizeLinear", "DequantizeLinear"), "static"),
        (("QLinearConv",), "static"),
        (("DynamicQuantizeLinear", "MatMulInteger"), "dynamic"),
    ],
)
def test_a_graph_says_whether_it_computes_in_eight_bits(
    tmp_path: Path, operations: tuple[str, ...], quantization: str
) -> None:
    model = make_graph()
    for operation in operations:
        model.graph.node.append(helper.make_node(operation, ["means"], [operation]))
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    assert read_graph_file(path).quantization == quantization
