"""Who takes part in a race, and who is left out and why."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.figures import ROOT
from benchmarks.material import CONFORMANCE_PYTHON
from benchmarks.race import Contestant
from benchmarks.results import describe_machine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.material import ModelSet

PEERS = ROOT / "benchmarks" / "peers"
ENGINES = ("onnxruntime", "openvino")
JS_FILES = {"fp32": "model.onnx", "q8": "model_quantized.onnx", "int8": "model_int8.onnx"}
BATCH_SIZES = (1, 8)  # of the peers; pictag chooses its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The contestants of one race, and the reasons why others are missing."""

    contestants: tuple[Contestant, ...]
    left_out: dict[str, str]


def enter_all(models: ModelSet, images: Path, *, decode: str, limit: str) -> Field:
    """Everything that this machine has for one model and one folder of images.

    ``limit`` is ``"multiply"`` for the matrix-multiply limit, ``"steps"`` for that of the line's own steps.
    """
    fields = [
        _enter_transformers(models, images),
        _enter_transformers_js(models, images),
        _enter_pictag(models, images, decode=decode, with_steps=limit == "steps"),
    ]
    if limit == "multiply":
        fields.append(_enter_multiply())
    return Field(
        contestants=tuple(contestant for field in fields for contestant in field.contestants),
        left_out={name: reason for field in fields for name, reason in field.left_out.items()},
    )


def _enter_transformers(models: ModelSet, images: Path) -> Field:
    if models.torch is None:
        reason = models.why_missing.get("torch", "no such model")
        return Field(contestants=(), left_out={"transformers": reason})
    program = (str(CONFORMANCE_PYTHON), "-W", "ignore", "-m", "benchmarks.peers.transformers_torch")
    return Field(
        contestants=tuple(
            Contestant(
                name=f"transformers, torch float32, batch {size}",
                command=(*program, str(images), str(models.torch), str(size)),
                weights="float",
                family="transformers",
            )
            for size in BATCH_SIZES
        ),
        left_out={},
    )


def _enter_transformers_js(models: ModelSet, images: Path) -> Field:
    node = shutil.which("node")
    if node is None:
        return Field(contestants=(), left_out={"transformers.js": "needs Node 20 or newer"})
    if not (PEERS / "node_modules" / "@huggingface" / "transformers").is_dir():
        return Field(contestants=(), left_out={"transformers.js": "run `make peers`"})
    if models.onnx is None:
        reason = models.why_missing.get("onnx", "no such model")
        return Field(contestants=(), left_out={"transformers.js": reason})
    files = models.onnx / "onnx"
    program = (node, str(PEERS / "transformers_js.mjs"), str(images), str(models.onnx))
    return Field(
        contestants=tuple(
            Contestant(
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


def _enter_pictag(models: ModelSet, images: Path, *, decode: str, with_steps: bool) -> Field:
    contestants, left_out = [], {}
    programs = {"pictag": "line", "limit": "steps"} if with_steps else {"pictag": "line"}
    for weights, folder, options in _list_settings(models, with_bf16=decode == "exact"):
        engine = options["engine"]
        name = f"pictag {weights}, {engine}"
        if folder is None:
            left_out[name] = models.why_missing.get("int8" if weights == "int8" else "onnx", "no such model")
            continue
        if importlib.util.find_spec(engine) is None:
            left_out[name] = f"pip install 'pictag[{engine}]'"
            continue
        arguments = (str(images), str(folder), json.dumps({**options, "decode": decode}))
        contestants += [
            Contestant(
                name=name if family == "pictag" else f"limit of {name}",
                command=(sys.executable, "-m", f"benchmarks.programs.{program}", *arguments),
                weights=weights,
                family=family,
            )
            for family, program in programs.items()
            if family == "pictag" or weights != "bf16"
        ]
    return Field(contestants=tuple(contestants), left_out=left_out)


def _list_settings(models: ModelSet, *, with_bf16: bool) -> Iterator[tuple[str, Path | None, dict[str, str]]]:
    for engine in ENGINES:
        yield "float", models.onnx, {"engine": engine, "dtype": "fp32"}
        yield "int8", models.int8, {"engine": engine, "dtype": "q8"}
    # Where the processor multiplies in it; asked for, as its scores are not the reference's.
    if with_bf16 and any("bf16" in feature for feature in describe_machine()["features"]):
        yield "bf16", models.onnx, {"engine": "openvino", "dtype": "fp32", "precision": "bf16"}


def _enter_multiply() -> Field:
    return Field(
        contestants=tuple(
            Contestant(
                name=f"limit of matrix multiplication, {kind}",
                command=(sys.executable, "-m", "benchmarks.programs.multiply", kind),
                weights=weights,
                family="limit",
            )
            for weights, kind in (("float", "float32"), ("int8", "int8"))
        ),
        left_out={},
    )
