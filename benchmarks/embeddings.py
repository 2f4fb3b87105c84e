"""Embeddings: their difference from a graph cut at the same tensor, and what they cost.

MobileNetV2's float, calibrated and dynamically quantized weights are compared with each engine. The speed is
that of ``classifier.stream`` with and without embeddings, in alternating runs.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.figures import MOBILENET_V2, Figure, Options, print_progress, require_shared
from benchmarks.jobs import RACES
from benchmarks.material import list_photographs, make_images, spread
from benchmarks.race import Schedule, System, race
from benchmarks.systems import ENGINES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SCHEDULE = Schedule(run_s=6.0, runs=7, min_images=32)
QUICK_SCHEDULE = Schedule(run_s=1.0, runs=1, min_images=8)
MIN_SPEED = 0.97
MAX_DIFFERENCE = {"fp32": 1e-5, "q8": 1e-3, "int8": 1e-3}  # of the largest value
MAX_LOGITS_DIFFERENCE = 1e-5
COUNT, QUICK_COUNT = 50, 4


def run(options: Options) -> list[Figure]:
    if not require_shared():
        return []
    engines = [engine for engine in ENGINES if importlib.util.find_spec(engine) is not None]
    photographs = spread(list_photographs(), QUICK_COUNT if options.quick else COUNT)
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        model = make_weights(Path(folder))
        for engine in engines:
            for dtype in MAX_DIFFERENCE:
                figures += compare_values(model, dtype, engine, photographs)
        schedule = QUICK_SCHEDULE if options.quick else SCHEDULE
        for engine in engines:
            for dtype in ("fp32", "q8"):
                figures.append(compare_speed(model, dtype, engine, schedule))
    return figures


def make_weights(folder: Path) -> Path:
    """MobileNetV2 with its float and calibrated weights, and dynamically quantized ones (int8)."""
    from onnxruntime.quantization import quantize_dynamic

    model = folder / "mobilenet_v2"
    shutil.copytree(MOBILENET_V2, model)
    quantize_dynamic(model / "onnx" / "model.onnx", model / "onnx" / "model_int8.onnx")
    return model


def compare_values(model: Path, dtype: str, engine: str, photographs: list[Path]) -> Iterator[Figure]:
    from pictag import pipeline
    from pictag.models.graph_facts import find_embedding
    from pictag.pipelines.outputs import require_output

    options: dict[str, Any] = {"model": model, "dtype": dtype, "engine": engine, "batch_size": 1}
    with pipeline(**options, embeddings=True) as embedder, pipeline(**options) as classifier:
        pixels = [embedder.preprocess(photograph) for photograph in photographs]
        tensor = find_embedding(embedder.model.graph, require_output(embedder.model)).name
        cut = cut_graph(embedder.model.weights, tensor, engine)
        expected = np.concatenate([cut(one).mean(axis=(2, 3)) for one in pixels])
        found = embedder.embed(photographs)
        logits = [np.concatenate([one.forward(p) for p in pixels]) for one in (embedder, classifier)]
    title = f"MobileNetV2, {dtype}, {engine}"
    detail = f"{len(photographs)} photographs, tensor {tensor}, as a share of the largest value"
    yield Figure(
        name=f"{title}: embeddings, difference from the cut graph",
        measured=difference(found, expected) * 1e6, target=MAX_DIFFERENCE[dtype] * 1e6, unit="×1e-6",
        detail=detail,
    )  # fmt: skip
    yield Figure(
        name=f"{title}: logits with and without embeddings, difference",
        measured=difference(*logits) * 1e6, target=MAX_LOGITS_DIFFERENCE * 1e6, unit="×1e-6", detail=detail,
    )  # fmt: skip


def cut_graph(
    weights: Path, tensor: str, engine: str
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """The part of a graph up to a tensor, run by the engine's own package."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load(weights))
    part = onnx.utils.Extractor(graph).extract_model(["pixel_values"], [tensor]).SerializeToString()
    if engine == "openvino":
        import openvino

        from pictag.engines.quantize_target import has_fast_int8

        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": "f32", "LP_TRANSFORMS_MODE": has_fast_int8()}
        compiled = core.compile_model(core.read_model(part), "CPU", settings)
        return lambda pixel_values: np.asarray(compiled(pixel_values)[0])
    import onnxruntime

    exact = onnxruntime.SessionOptions()
    exact.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(part, exact, providers=["CPUExecutionProvider"])
    return lambda pixel_values: np.asarray(session.run(None, {"pixel_values": pixel_values})[0])


def compare_speed(model: Path, dtype: str, engine: str, schedule: Schedule) -> Figure:
    one = next(one for one in RACES if one.key == "mobilenet_v2-500x375")
    images = make_images(one.images, one.image_count)
    systems = []
    for name, embeddings in (("without", False), ("with", True)):
        options = {"engine": engine, "dtype": dtype, "embeddings": embeddings}
        program = (sys.executable, "-m", "benchmarks.programs.end_to_end")
        command = (*program, str(images), str(model), json.dumps(options))
        systems.append(System(name=name, command=command, weights="", family="pictag"))
    print_progress(f"speed: {dtype}, {engine}")
    results, dropouts = race(systems, schedule)
    if dropouts:
        raise SystemExit(f"{dtype}, {engine}: {dropouts}")
    without, with_ = (result.rate for result in results)
    return Figure(
        name=f"MobileNetV2, {dtype}, {engine}: speed with embeddings",
        measured=with_ / without, target=MIN_SPEED, unit="×", more=True,
        detail=f"{with_:.1f} against {without:.1f} images per second",
    )  # fmt: skip


def difference(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())
