"""The upper bound end to end: cores / (CPU seconds of decoding + preprocessing + inference) per image.

Each step is measured alone, with one thread per core that never waits for another: first decoding and
preprocessing, then inference at the fastest batch size. Arguments: images, model, pictag's options as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.programs.runs import answer
from pictag import pipeline
from pictag.engines.cores import count_cores
from pictag.models.load import LoadOptions, load_model
from pictag.models.reference import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Infer = Callable[[NDArray[np.float32]], object]

BATCH_SIZES = (1, 2, 4, 8, 16)
STEP_S = 1.0


def main(images: str, model: str, options: str) -> None:
    files = [str(path) for path in sorted(Path(images).iterdir())]
    cores = count_cores()
    values = json.loads(options)
    with pipeline("image-classification", model=model, **values) as classifier:
        # The engine may have its own weights file.
        chosen = LoadOptions(dtype=values["dtype"], engine=values["engine"])
        weights = load_model(parse_reference(model), chosen).weights
        openers = {"openvino": _open_openvino, "onnxruntime": _open_onnxruntime}
        workers = openers[values["engine"]](str(weights), cores)
        one = classifier.preprocess(files[0])

        def load(worker: int, turn: int) -> int:
            classifier.preprocess(files[(turn * cores + worker) % len(files)])
            return 1

        def measure(count: int) -> dict[str, Any]:
            loaded = _measure(load, cores, step_s=3 * STEP_S)
            inferred = {
                size: _measure(_infer_repeatedly(workers, np.repeat(one, size, axis=0)), cores, step_s=STEP_S)
                for size in BATCH_SIZES
            }
            best = max(inferred, key=lambda size: inferred[size])
            return {
                "images": count,
                "seconds": count * (1 / loaded + 1 / inferred[best]),
                "load_core_ms": 1000 * cores / loaded,
                "infer_core_ms": 1000 * cores / inferred[best],
                "batch_size": float(best),
            }

        answer(measure, weights=weights.name)


def _infer_repeatedly(workers: list[Infer], batch: NDArray[np.float32]) -> Callable[[int, int], int]:
    batches = [batch.copy() for _ in workers]

    def infer(worker: int, _: int) -> int:
        workers[worker](batches[worker])
        return len(batch)

    for worker in range(len(workers)):
        infer(worker, 0)
    return infer


def _measure(step: Callable[[int, int], int], cores: int, *, step_s: float) -> float:
    """Images per second of all cores together while all are busy."""
    until = time.perf_counter() + step_s
    rates = [0.0] * cores

    def work(worker: int) -> None:
        done, turn, start = 0, 0, time.perf_counter()
        while (now := time.perf_counter()) < until:
            done, turn = done + step(worker, turn), turn + 1
        rates[worker] = done / (now - start)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(rates)


def _open_onnxruntime(weights: str, cores: int) -> list[Infer]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return [lambda batch: session.run(None, {name: batch})] * cores


def _open_openvino(weights: str, cores: int) -> list[Infer]:
    import openvino

    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "INFERENCE_NUM_THREADS": cores,
        "NUM_STREAMS": cores,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = openvino.Core().compile_model(weights, "CPU", settings)
    requests = [compiled.create_infer_request() for _ in range(cores)]
    return [_bind(request) for request in requests]


def _bind(request: Any) -> Infer:
    return lambda batch: request.infer({0: batch}, share_inputs=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
