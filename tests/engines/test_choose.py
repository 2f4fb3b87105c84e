"""The choice of an engine is pure, and says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pictag.engines.choose import JOBS, choose_engine, find_installed

if TYPE_CHECKING:
    from pictag.engines.choose import Job, Quantization

BOTH = ("onnxruntime", "openvino")


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("quantization", ["none", "static", "dynamic"])
def test_what_is_asked_for_is_taken(job: Job, quantization: Quantization) -> None:
    for asked in BOTH:
        choice = choose_engine(asked, job=job, quantization=quantization, device="cpu", installed=())
        assert (choice.name, choice.why) == (asked, f"engine={asked} was asked for")


@pytest.mark.parametrize(
    ("job", "quantization", "installed", "name", "why"),
    [
        ("one", "static", BOTH, "onnxruntime", "starts fastest"),
        ("one", "none", BOTH, "onnxruntime", "starts fastest"),
        ("many", "none", BOTH, "onnxruntime", "in float"),
        ("many", "dynamic", BOTH, "onnxruntime", "as it runs"),
        ("many", "static", BOTH, "openvino", "faster"),
        ("many", "static", BOTH[:1], "onnxruntime", "pip install 'pictag[openvino]'"),
    ],
)
def test_auto_goes_by_the_job_the_weights_and_what_is_installed(
    job: Job, quantization: Quantization, installed: tuple[str, ...], name: str, why: str
) -> None:
    choice = choose_engine("auto", job=job, quantization=quantization, device="cpu", installed=installed)
    assert choice.name == name
    assert why in choice.why


@pytest.mark.parametrize("job", JOBS)
def test_a_card_is_onnx_runtimes(job: Job) -> None:
    choice = choose_engine("auto", job=job, quantization="static", device="cuda:1", installed=BOTH)
    assert choice.name == "onnxruntime"
    assert "cuda:1" in choice.why


def test_onnx_runtime_is_always_installed() -> None:
    assert "onnxruntime" in find_installed()
