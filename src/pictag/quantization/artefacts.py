"""Copies the files that a search found into the model's folder, and measures their speed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.engines.quantize_graph import Graph, save_graph
from pictag.models.checksums import measure_sha256
from pictag.models.graph_file import read_graph_file
from pictag.models.weights import OPENVINO_SUFFIX, SUFFIXES
from pictag.quantization.measurement import ENGINES, open_graph, race
from pictag.quantization.records import Artefact, OnProgress, Progress, Speed

if TYPE_CHECKING:
    from pictag.models.load import Model
    from pictag.quantization.calibration import Samples
    from pictag.quantization.search import Found

_ORIGINAL = f"onnx/model{SUFFIXES['fp32']}.onnx"
_COMMON = f"onnx/model{SUFFIXES['q8']}.onnx"
_FOR_OPENVINO = f"onnx/model{SUFFIXES['q8']}{OPENVINO_SUFFIX}.onnx"


def collect_artefacts(
    found: Mapping[str, Found], model: Model, samples: Samples, folder: Path, on_progress: OnProgress
) -> tuple[Artefact, ...]:
    """Copy the files to the names that engines look for, and measure their speed.

    A file that both engines share is written once, under the usual name ``model_quantized.onnx``.
    """
    artefacts = []
    common = found["onnxruntime"].candidate
    for file in dict.fromkeys(one.candidate.file for one in found.values()):
        engines = [engine for engine, one in found.items() if one.candidate.file == file]
        candidate = found[engines[0]].candidate
        path = _COMMON if file == common.file else _FOR_OPENVINO
        shutil.copyfile(file, folder / path)
        artefacts.append(
            Artefact(
                path=path,
                method=candidate.method,
                float_nodes=candidate.float_nodes,
                sha256=measure_sha256(file),
                size_bytes=file.stat().st_size,
                agreement={engine: found[engine].agreement for engine in engines},
                speed={e: _measure_speed(e, file, model, samples, on_progress) for e in engines},
            )
        )
    return tuple(artefacts)


def copy_original(weights: Path, graph: Graph, folder: Path) -> None:
    """Write the float weights beside the quantized ones, as one file."""
    if read_graph_file(weights).external:
        save_graph(graph, folder / _ORIGINAL)
    else:
        shutil.copyfile(weights, folder / _ORIGINAL)


def _measure_speed(engine: str, file: Path, model: Model, samples: Samples, on_progress: OnProgress) -> Speed:
    on_progress(Progress(step=f"Measuring speed with {ENGINES[engine]}"))
    with (
        closing(open_graph(engine, model.weights, model)) as original,
        closing(open_graph(engine, file, model)) as quantized,
    ):
        return race(original, quantized, samples)
