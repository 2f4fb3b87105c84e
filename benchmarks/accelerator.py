"""ViT-B/16 in float16 on an NVIDIA GPU: batches of 1, 32 and 256, with CUDA and TensorRT.

The weights are random because speed does not depend on them. Without a GPU the benchmark is skipped.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.figures import Figure, Options, print_progress
from pictag.engines.onnxruntime import check_installed, open_session
from pictag.errors import EngineError, MissingExtra
from pictag.options import EngineOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pictag.engines.base import Engine

BATCHES = (1, 32, 256)
DEVICES = ("cuda", "tensorrt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """The dimensions of a vision transformer; by default those of ViT-B/16."""

    size: int = 224
    patch: int = 16
    width: int = 768
    heads: int = 12
    layers: int = 12
    labels: int = 1000


TINY = Shape(size=32, width=32, heads=2, layers=2, labels=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The median duration of one run, from the array to the scores."""

    batch: int
    run_s: float

    @property
    def rate(self) -> float:
        return self.batch / self.run_s


def run(options: Options) -> list[Figure]:
    found = []
    for device in DEVICES:
        try:
            check_installed(device)
            found += measure(
                device, shape=TINY if options.quick else Shape(), rounds=5 if options.quick else 30
            )
        except (MissingExtra, EngineError) as error:
            print(f"  skipped: {device}: {error}")
    return found


def measure(device: str, *, shape: Shape, rounds: int) -> list[Figure]:
    """The figures of one device, with the CPU measured in the same run."""
    with tempfile.TemporaryDirectory() as name:
        half, single = Path(name) / "half.onnx", Path(name) / "single.onnx"
        make_transformer(half, shape, np.dtype(np.float16))
        make_transformer(single, shape, np.dtype(np.float32))
        print_progress(f"opening the graph on {device}; TensorRT compiles for minutes")
        gpu, cpu = (
            open_session(path, EngineOptions(device=on)) for path, on in ((half, device), (single, "cpu"))
        )
        difference = _compare(gpu, cpu, shape)
        host = _time_runs(cpu, shape, batch=1, rounds=5)
        speeds = [_time_runs(gpu, shape, batch=batch, rounds=rounds) for batch in BATCHES]
    first, middle, last = speeds
    title = f"{'ViT-B/16' if shape == Shape() else 'tiny ViT'} float16, {gpu.name}"
    return [
        Figure(
            name=f"{title}: scores' largest difference from float32 on the CPU, over their spread",
            measured=difference,
            target=0.05,
            unit="",
            detail="random weights, 4 random images",
        ),
        _compare_speeds(f"{title}, batch 1: speed over float32 on the CPU", first, host, target=1),
        _compare_speeds(f"{title}, batch {middle.batch}: speed over batch 1", middle, first, target=1),
        _compare_speeds(
            f"{title}, batch {last.batch}: speed over batch {middle.batch}", last, middle, target=0.9
        ),
    ]


def _compare_speeds(name: str, ours: Speed, other: Speed, *, target: float) -> Figure:
    detail = f"{ours.rate:.1f} images/s against {other.rate:.1f}; one run takes {ours.run_s * 1000:.2f} ms"
    return Figure(
        name=name, measured=ours.rate / other.rate, target=target, unit="×", detail=detail, more=True
    )


def _draw_pixels(shape: Shape, count: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((count, 3, shape.size, shape.size), np.float32)


def _compare(gpu: Engine, cpu: Engine, shape: Shape) -> float:
    pixels = _draw_pixels(shape, 4)
    (reference,) = cpu.run(pixels)
    return float(np.abs(gpu.run(pixels)[0] - reference).max() / reference.std())


def _time_runs(engine: Engine, shape: Shape, *, batch: int, rounds: int) -> Speed:
    pixels = _draw_pixels(shape, batch)
    for _ in range(3):  # the first runs allocate memory and select kernels
        engine.run(pixels)
    durations = []
    for _ in range(rounds):
        start = time.perf_counter()
        engine.run(pixels)
        durations.append(time.perf_counter() - start)
    return Speed(batch=batch, run_s=statistics.median(durations))


def make_transformer(path: Path, shape: Shape, dtype: np.dtype[np.floating]) -> None:
    """Write a vision transformer with random weights; they don't depend on the ``dtype``."""
    draw = np.random.default_rng(0)
    numbers = itertools.count()
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    width, heads, patches = shape.width, shape.heads, (shape.size // shape.patch) ** 2

    def keep(array: NDArray[np.floating | np.int64]) -> str:
        constants.append(numpy_helper.from_array(array, f"c{next(numbers)}"))
        return constants[-1].name

    def weigh(*sides: int, spread: float = 0.02) -> str:
        return keep((draw.standard_normal(sides) * spread).astype(dtype))

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{next(numbers)}"
        nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def reshape(value: str, *sides: int) -> str:
        return add("Reshape", value, keep(np.array(sides, np.int64)))

    def project(value: str, wide: int, out: int) -> str:
        return add("Add", add("MatMul", value, weigh(wide, out, spread=wide**-0.5)), weigh(out))

    def normalise(value: str) -> str:
        ones, zeros = keep(np.ones(width, dtype)), keep(np.zeros(width, dtype))
        return add("LayerNormalization", value, ones, zeros, axis=-1, epsilon=1e-6)

    def attend(value: str) -> str:
        query, key, values = (
            add("Transpose", reshape(project(value, width, width), 0, -1, heads, width // heads), perm=order)
            for order in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3))
        )
        scale = keep(np.array((width // heads) ** -0.5, dtype))
        weights = add("Softmax", add("Mul", add("MatMul", query, key), scale), axis=-1)
        mixed = add("Transpose", add("MatMul", weights, values), perm=(0, 2, 1, 3))
        return project(reshape(mixed, 0, -1, width), width, width)

    patch = weigh(width, 3, shape.patch, shape.patch)
    tokens = add("Conv", "pixel_values", patch, weigh(width), strides=[shape.patch] * 2)
    tokens = add("Transpose", reshape(tokens, 0, width, -1), perm=(0, 2, 1))
    batch = add("Shape", "pixel_values", start=0, end=1)
    first = add("Expand", weigh(1, 1, width), add("Concat", batch, keep(np.array([1, width])), axis=0))
    tokens = add("Add", add("Concat", first, tokens, axis=1), weigh(1, patches + 1, width))
    for _ in range(shape.layers):
        tokens = add("Add", tokens, attend(normalise(tokens)))
        hidden = add("Gelu", project(normalise(tokens), width, 4 * width))
        tokens = add("Add", tokens, project(hidden, 4 * width, width))
    pooled = add("Gather", normalise(tokens), keep(np.array(0)), axis=1)
    scores = project(pooled, width, shape.labels)
    nodes.append(helper.make_node("Identity", [scores], ["logits"]))
    kind = TensorProto.FLOAT16 if dtype == np.float16 else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "vit",
        [helper.make_tensor_value_info("pixel_values", kind, ["batch", 3, shape.size, shape.size])],
        [helper.make_tensor_value_info("logits", kind, ["batch", shape.labels])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
