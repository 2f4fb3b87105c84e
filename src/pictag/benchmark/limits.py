"""How fast this machine multiplies matrices: the limit that no model can pass."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.benchmark.graph_bytes import make_multiplication
from pictag.benchmark.jobs import Began, Found
from pictag.benchmark.rates import measure_durations
from pictag.benchmark.records import MultiplyRate
from pictag.engines.cores import count_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from pictag.benchmark.jobs import LimitJob, Message
    from pictag.benchmark.records import Arithmetic

_SIDES = (512, 1024)  # small enough for the processor's caches, as a layer's matrices are
_FATAL_ONLY = 4


def measure_limits(job: LimitJob) -> Iterator[Message]:
    """Multiply matrices with every engine that is installed, and keep the best of each kind of number.

    Each kind takes ``job.step_s``, shared between engines and sizes.
    """
    kinds: tuple[Arithmetic, ...] = ("float32", "int8")
    for kind in kinds:
        yield Began(step=f"multiplying matrices ({kind})")
        yield Found(values={kind: _measure_best(kind, threads=count_cores(), step_s=job.step_s)})


def _measure_best(arithmetic: Arithmetic, *, threads: int, step_s: float) -> MultiplyRate | None:
    openers = {"onnxruntime": _open_onnxruntime}
    if find_spec("openvino") is not None:
        openers["openvino"] = _open_openvino
    rates = []
    for side in _SIDES:
        graph = make_multiplication(side, arithmetic)
        matrix = np.ones((side, side), np.float32 if arithmetic == "float32" else np.uint8)
        for engine, open_graph in openers.items():
            try:
                multiply = open_graph(graph, matrix, threads)
                durations = measure_durations(multiply, step_s=step_s / len(openers) / len(_SIDES))
            except (ImportError, RuntimeError):  # an engine that is broken reaches nothing
                continue
            # What one run in ten reaches is possible; the others may have had to share the processor.
            second = float(np.percentile(durations, 10))
            rates.append(MultiplyRate(gops=2 * side**3 / second / 1e9, engine=engine))
    return max(rates, key=lambda rate: rate.gops, default=None)


def _open_onnxruntime(graph: bytes, matrix: NDArray[Any], threads: int) -> Callable[[int], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL_ONLY
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda _: session.run(None, {"a": matrix})


def _open_openvino(graph: bytes, matrix: NDArray[Any], threads: int) -> Callable[[int], object]:
    import openvino

    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
    return lambda _: request.infer({0: matrix}, share_inputs=True)
