"""The table of engines, the choice from it, and the reason that the choice gives."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import onnx
import pytest

from pictag.engines.registry import ENGINE_NAMES, choose_engine, list_installed, open_engine
from pictag.options import EngineOptions, Quantization
from tinymodel import make_graph

BOTH = ("onnxruntime", "openvino")
FAST: dict[str, Any] = {"device": "cpu", "installed": BOTH, "has_fast_int8": True}


@pytest.mark.parametrize("quantization", ["none", "static", "dynamic"])
@pytest.mark.parametrize("asked", BOTH)
def test_a_requested_engine_is_always_used(asked: str, quantization: Quantization) -> None:
    choice = choose_engine(asked, quantization=quantization, **(FAST | {"installed": ()}))
    assert (choice.name, choice.why) == (asked, "it was requested")


@pytest.mark.parametrize(
    ("quantization", "change", "name", "why"),
    [
        ("none", {}, "onnxruntime", "float weights"),
        ("dynamic", {}, "onnxruntime", "as it runs"),
        ("static", {}, "openvino", "faster"),
        ("static", {"installed": BOTH[:1]}, "onnxruntime", "pip install 'pictag[openvino]'"),
        ("static", {"has_fast_int8": False}, "onnxruntime", "VNNI"),
        ("static", {"device": "cuda:1"}, "onnxruntime", "cuda:1"),
    ],
)
def test_auto_depends_on_the_weights_the_processor_and_the_installed_packages(
    quantization: Quantization, change: dict[str, Any], name: str, why: str
) -> None:
    choice = choose_engine("auto", quantization=quantization, **(FAST | change))
    assert choice.name == name
    assert why in choice.why


def test_onnx_runtime_is_always_installed() -> None:
    assert "onnxruntime" in list_installed()


@pytest.mark.parametrize("name", ENGINE_NAMES)
def test_an_engine_of_the_table_is_a_module_with_open_session(name: str, tmp_path: Path) -> None:
    if name not in list_installed():
        pytest.skip(f"needs pip install 'pictag[{name}]'")
    onnx.save(make_graph(), tmp_path / "m.onnx")
    engine = open_engine(name, tmp_path / "m.onnx", EngineOptions(threads=1), outputs=("means",))
    assert engine.name.startswith(name)
    assert [output.name for output in engine.outputs] == ["logits"]
    open_session = import_module(f"pictag.engines.{name}").open_session
    assert list(inspect.signature(open_session).parameters) == ["weights", "options", "outputs"]
