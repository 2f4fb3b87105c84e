"""The systems that are compared, and the reasons why others are left out."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT
from benchmarks.material import CONFORMANCE_PYTHON
from benchmarks.race import System
from benchmarks.results import describe_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.material import ModelSet

PEERS = ROOT / "benchmarks" / "peers"
ENGINES = ("onnxruntime", "openvino")
JS_FILES = {"fp32": "model.onnx", "q8": "model_quantized.onnx", "int8": "model_int8.onnx"}
BATCH_SIZES = (1, 8)  # of the peers; pictag chooses its own batch size


@dataclass(frozen=True, slots=True, kw_only=True)
class Systems:
    """The systems of one race, and the reasons why others are left out."""

    available: tuple[System, ...]
    left_out: dict[str, str]


def find_systems(models: ModelSet, images: Path, *, decode: str, limit: str) -> Systems:
    """All systems on this machine for one model and one folder of images.

    ``limit`` is ``"multiply"`` for the limit of matrix multiplication, ``"steps"`` for that of decoding,
    preprocessing and inference.
    """
    groups = [
        _find_transformers(models, images),
        _find_transformers_js(models, images),
        _find_pictag(models, images, decode=decode, with_steps=limit == "steps"),
    ]
    if limit == "multiply":
        groups.append(_find_multiply())
    return Systems(
        available=tuple(system for one in groups for system in one.available),
        left_out={name: reason for one in groups for name, reason in one.left_out.items()},
    )


def _find_transformers(models: ModelSet, images: Path) -> Systems:
    if models.torch is None:
        reason = models.why_missing.get("torch", "no such model")
        return Systems(available=(), left_out={"transformers": reason})
    program = (str(CONFORMANCE_PYTHON), "-W", "ignore", "-m", "benchmarks.peers.transformers_torch")
    return Systems(
        available=tuple(
            System(
                name=f"transformers, torch float32, batch {size}",
                command=(*program, str(images), str(models.torch), str(size)),
                weights="float",
                family="transformers",
            )
            for size in BATCH_SIZES
        ),
        left_out={},
    )


def _find_transformers_js(models: ModelSet, images: Path) -> Systems:
    node = shutil.which("node")
    if node is None:
        return Systems(available=(), left_out={"transformers.js": "needs Node 20 or newer"})
    if not (PEERS / "node_modules" / "@huggingface" / "transformers").is_dir():
        return Systems(available=(), left_out={"transformers.js": "run `make peers`"})
    if models.onnx is None:
        reason = models.why_missing.get("onnx", "no such model")
        return Systems(available=(), left_out={"transformers.js": reason})
    files = models.onnx / "onnx"
    program = (node, str(PEERS / "transformers_js.mjs"), str(images), str(models.onnx))
    return Systems(
        available=tuple(
            System(
                name=f"transformers.js {dtype}, batch {size}",
                command=(*program, dtype, str(size)),
                weights="float" if dtype == "fp32" else "int8",
                family="transformers.js",
            )
            for dtype, file in JS_FILES.items()
            for size in BATCH_SIZES
            if (files / file).exists()
        ),
        left_out={},
    )


def _find_pictag(models: ModelSet, images: Path, *, decode: str, with_steps: bool) -> Systems:
    systems, left_out = [], {}
    programs = {"pictag": "end_to_end", "limit": "steps"} if with_steps else {"pictag": "end_to_end"}
    for weights, folder, options in _list_settings(models, is_exact=decode == "exact"):
        engine = options["engine"]
        name = f"pictag {weights}, {engine}"
        if folder is None:
            left_out[name] = models.why_missing.get("int8" if weights == "int8" else "onnx", "no such model")
            continue
        if importlib.util.find_spec(engine) is None:
            left_out[name] = f"pip install 'pictag[{engine}]'"
            continue
        arguments = (str(images), str(folder), json.dumps({**options, "decode": decode}))
        systems += [
            System(
                name=name if family == "pictag" else f"limit of {name}",
                command=(sys.executable, "-m", f"benchmarks.programs.{program}", *arguments),
                weights=weights,
                family=family,
            )
            for family, program in programs.items()
            if family == "pictag" or weights in ("float", "int8")
        ]
    return Systems(available=tuple(systems), left_out=left_out)


def _list_settings(models: ModelSet, *, is_exact: bool) -> Iterator[tuple[str, Path | None, dict[str, str]]]:
    for engine in ENGINES:
        yield "float", models.onnx, {"engine": engine, "dtype": "fp32"}
        yield "int8", models.int8, {"engine": engine, "dtype": "q8"}
    if is_exact:  # OpenVINO would take minutes for such weights
        yield "dynamic int8", models.dynamic, {"engine": "onnxruntime", "dtype": "q8"}
    # Only on processors with bfloat16 instructions. Its scores differ from the reference's.
    if is_exact and any("bf16" in feature for feature in describe_machine()["features"]):
        yield "bf16", models.onnx, {"engine": "openvino", "dtype": "fp32", "precision": "bf16"}


def _find_multiply() -> Systems:
    return Systems(
        available=tuple(
            System(
                name=f"limit of matrix multiplication, {kind}",
                command=(sys.executable, "-m", "benchmarks.programs.multiply", kind),
                weights=weights,
                family="limit",
            )
            for weights, kind in (("float", "float32"), ("int8", "int8"))
        ),
        left_out={},
    )
