"""Agreement of a quantized graph with the original, and the speed of both."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import numpy as np

from pictag.engines.registry import open_engine
from pictag.options import EngineOptions
from pictag.postprocess import activate, choose_activation
from pictag.quantization.records import Agreement, OnProgress, Progress, Speed

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from pictag.engines.base import Engine
    from pictag.models.load import Model
    from pictag.quantization.calibration import Samples

ENGINES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
_BATCH_SIZE = 8
_RUNS, _MAX_S = 6, 8.0


def open_graph(name: str, weights: Path, model: Model) -> Engine:
    """Open a session for one of the model's graphs."""
    return open_engine(name, weights, EngineOptions(layout=model.layout, scores=model.output_name or ""))


def score(
    engine: Engine, samples: Samples, model: Model, *, step: str, on_progress: OnProgress
) -> NDArray[np.float32]:
    """Scores [N, labels] of the samples, computed as the pipeline does."""
    assert model.outputs is not None  # settled when the model was loaded
    activation = choose_activation(
        None, problem_type=model.problem_type, label_count=len(model.labels), outputs=model.outputs
    )
    rows = []
    for number, sample in enumerate(samples, start=1):
        rows.append(activate(engine.run(sample)[0], activation))
        on_progress(Progress(step=step, done=number, total=len(samples)))
    return np.concatenate(rows)


def compare(original: NDArray[np.float32], quantized: NDArray[np.float32]) -> Agreement:
    """The agreement of two tables of scores [N, labels].

    A model with one label agrees on an image if both scores are on the same side of 0.5.

    >>> one = np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    >>> compare(one, one[:, ::-1]).top1
    0.0
    """
    if original.shape[1] == 1:
        same = (original[:, 0] >= 0.5) == (quantized[:, 0] >= 0.5)
    else:
        same = original.argmax(1) == quantized.argmax(1)
    # NaN and infinite scores never agree.
    same = same & np.isfinite(quantized).all(1)
    differences = np.abs(original - quantized).max(1)
    return Agreement(
        images=len(original),
        top1=float(same.mean()),
        mean_difference=_as_number(differences.mean()),
        largest_difference=_as_number(differences.max()),
    )


def race(original: Engine, quantized: Engine, samples: Samples) -> Speed:
    """Run both graphs on the same batch in turn; the fastest run of each counts."""
    first = samples[0]
    batch = np.concatenate([s for s in samples[:_BATCH_SIZE] if s.shape == first.shape])
    best = {original: math.inf, quantized: math.inf}
    end = time.perf_counter() + _MAX_S
    for number in range(_RUNS + 1):
        for engine in (original, quantized):
            start = time.perf_counter()
            engine.run(batch)
            if number:  # the first run is a warm-up
                best[engine] = min(best[engine], time.perf_counter() - start)
        if number and time.perf_counter() > end:
            break
    return Speed(
        batch_size=len(batch),
        original=len(batch) / best[original],
        quantized=len(batch) / best[quantized],
    )


def _as_number(value: np.floating) -> float:
    """JSON has no NaN, so a difference that isn't finite counts as 1, the maximum."""
    return float(value) if math.isfinite(value) else 1.0
