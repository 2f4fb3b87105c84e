"""The upper bound for a transformer: this machine's matrix multiplications, as images per second of ViT-B/16.

The shapes are those of the model with eight images: 1576 × 768 by 768 × 3072 and back, several in a row with
nothing in between, in the fastest engine. Argument: ``float32`` or ``int8``.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.programs.runs import answer
from pictag.engines.cores import count_cores

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

VIT_B16_OPERATIONS = 35.1e9
ROWS, WIDTH, WIDER = 8 * 197, 768, 3072
PAIRS = 4
OPERATIONS = 2 * ROWS * WIDTH * WIDER * 2 * PAIRS
RUN_S = 2.0


def main(kind: str) -> None:
    multipliers = {"float32": open_float32, "int8": open_int8}[kind]()
    for multiply in multipliers.values():
        multiply()

    def measure(count: int) -> dict[str, Any]:
        rates = {name: _measure(multiply) for name, multiply in multipliers.items()}
        best = max(rates.values())
        return {
            "images": count,
            "seconds": count * VIT_B16_OPERATIONS / best,
            **{f"{name}_gops": rate / 1e9 for name, rate in rates.items()},
        }

    answer(measure)


def _measure(multiply: Callable[[], object]) -> float:
    """Operations per second at the fastest quarter of the runs, because this is an upper bound."""
    times = []
    until = time.perf_counter() + RUN_S
    while time.perf_counter() < until:
        start = time.perf_counter()
        multiply()
        times.append(time.perf_counter() - start)
    return float(OPERATIONS / np.quantile(times, 0.25))


def open_float32() -> dict[str, Callable[[], object]]:
    graph = _make_graph(quantized=False)
    left = np.random.default_rng(1).standard_normal((ROWS, WIDTH), np.float32)
    across, back = (np.ones(shape, np.float32) for shape in ((WIDTH, WIDER), (WIDER, WIDTH)))

    def multiply() -> None:
        values: NDArray[np.floating] = left
        for _ in range(PAIRS):
            values = values @ across @ back

    return {"numpy": multiply, **_open_engines(graph, left)}


def open_int8() -> dict[str, Callable[[], object]]:
    left = np.random.default_rng(1).random((ROWS, WIDTH), np.float32)
    return _open_engines(_make_graph(quantized=True), left)


def _make_graph(*, quantized: bool) -> bytes:
    """Consecutive multiplications; quantized ones use 8-bit values and one scale per column of weights."""
    draw = np.random.default_rng(2)
    nodes, constants = [], []
    if quantized:
        constants += [
            numpy_helper.from_array(np.array(0.01, np.float32), "scale"),
            numpy_helper.from_array(np.array(0, np.uint8), "zero"),
        ]
    values = "left"
    for number, (rows, columns) in enumerate([(WIDTH, WIDER), (WIDER, WIDTH)] * PAIRS):
        weights = f"weights{number}"
        if quantized:
            nodes += [
                helper.make_node("QuantizeLinear", [values, "scale", "zero"], [f"q{number}"]),
                helper.make_node("DequantizeLinear", [f"q{number}", "scale", "zero"], [f"d{number}"]),
                helper.make_node(
                    "DequantizeLinear", [f"q_{weights}", f"s_{weights}", f"z_{weights}"], [weights], axis=1
                ),
            ]
            values = f"d{number}"
            integers = draw.integers(-64, 64, (rows, columns)).astype(np.int8)
            constants += [
                numpy_helper.from_array(integers, f"q_{weights}"),
                numpy_helper.from_array(np.full(columns, 0.001, np.float32), f"s_{weights}"),
                numpy_helper.from_array(np.zeros(columns, np.int8), f"z_{weights}"),
            ]
        else:
            floats = draw.standard_normal((rows, columns), np.float32) / np.float32(rows**0.5)
            constants.append(numpy_helper.from_array(floats, weights))
        nodes.append(helper.make_node("MatMul", [values, weights], [f"product{number}"]))
        values = f"product{number}"
    graph = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, [ROWS, WIDTH])],
        [helper.make_tensor_value_info(values, TensorProto.FLOAT, [ROWS, WIDTH])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _open_engines(graph: bytes, left: Any) -> dict[str, Callable[[], object]]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_cores()
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    found: dict[str, Callable[[], object]] = {"onnxruntime": lambda: session.run(None, {"left": left})}
    try:
        import openvino
    except ImportError:
        return found
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": count_cores(),
        "INFERENCE_PRECISION_HINT": "f32",
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(graph, b""), "CPU", settings).create_infer_request()
    found["openvino"] = lambda: request.infer({0: left}, share_inputs=True)
    return found


if __name__ == "__main__":
    main(*sys.argv[1:])
