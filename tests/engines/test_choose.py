"""The choice of an engine, and the reason that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictag.engines.choose import MODES, choose_engine, find_installed

if TYPE_CHECKING:
    from pictag.engines.choose import Mode, Quantization

BOTH = ("onnxruntime", "openvino")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("quantization", ["none", "static", "dynamic"])
def test_a_requested_engine_is_always_used(mode: Mode, quantization: Quantization) -> None:
    for asked in BOTH:
        choice = choose_engine(asked, mode=mode, quantization=quantization, device="cpu", installed=())
        assert (choice.name, choice.why) == (asked, f"engine={asked} was requested")


@pytest.mark.parametrize(
    ("mode", "quantization", "installed", "name", "why"),
    [
        ("latency", "static", BOTH, "onnxruntime", "starts fastest"),
        ("latency", "none", BOTH, "onnxruntime", "starts fastest"),
        ("throughput", "none", BOTH, "onnxruntime", "float weights"),
        ("throughput", "dynamic", BOTH, "onnxruntime", "as it runs"),
        ("throughput", "static", BOTH, "openvino", "faster"),
        ("throughput", "static", BOTH[:1], "onnxruntime", "pip install 'pictag[openvino]'"),
    ],
)
def test_auto_depends_on_the_mode_the_weights_and_the_installed_packages(
    mode: Mode, quantization: Quantization, installed: tuple[str, ...], name: str, why: str
) -> None:
    choice = choose_engine("auto", mode=mode, quantization=quantization, device="cpu", installed=installed)
    assert choice.name == name
    assert why in choice.why


@pytest.mark.parametrize("mode", MODES)
def test_gpus_are_used_through_onnx_runtime(mode: Mode) -> None:
    choice = choose_engine("auto", mode=mode, quantization="static", device="cuda:1", installed=BOTH)
    assert choice.name == "onnxruntime"
    assert "cuda:1" in choice.why


def test_onnx_runtime_is_always_installed() -> None:
    assert "onnxruntime" in find_installed()
