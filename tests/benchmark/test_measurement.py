from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from pictag.benchmark import measure
from pictag.benchmark.records import Progress, Report
from pictag.errors import (
    ImageNotFound,
    InvalidModel,
    MissingExtra,
    ModelFileMissing,
    NotAnImage,
    OptionError,
    UnknownOption,
)
from tinymodel import make_image, make_tiny_model

QUICK: Any = {"engines": ["onnxruntime"], "step_s": 0.01, "images": 4}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = ("onnx/model.onnx", "onnx/model_quantized.onnx")
    return make_tiny_model(tmp_path_factory.mktemp("bench") / "tiny", files=files)


def test_every_engine_is_measured_with_every_dtype(tiny: Path) -> None:
    pytest.importorskip("openvino")
    steps: list[Progress] = []
    report = measure(tiny, step_s=0.01, images=4, on_progress=steps.append)
    assert report.is_complete
    assert [(r.engine, r.dtype) for r in report.results] == [
        ("onnxruntime", "fp32"), ("openvino", "fp32"), ("onnxruntime", "q8"), ("openvino", "q8")
    ]  # fmt: skip
    for result in report.results:
        assert result.failure is None
        assert result.start_s
        assert result.end_to_end_per_s
        assert result.memory_bytes is None or 20e6 < result.memory_bytes < 2e9
        assert result.latency is not None
        assert result.latency.p50_ms <= result.latency.p90_ms <= result.latency.p99_ms
    assert report.images is not None
    assert (report.images.folder, report.images.count) == (None, 4)
    assert {step.total for step in steps} == {5}
    assert [step.number for step in steps] == sorted(step.number for step in steps)


def test_broken_images_are_named_and_left_out(tiny: Path, tmp_path: Path) -> None:
    for colour in ("red", "green"):
        make_image(tmp_path / f"{colour}.png", colour)
    (tmp_path / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 torn")
    report = measure(tiny, tmp_path, dtypes=["fp32"], **QUICK)
    assert report.images is not None
    assert report.images.count == 2
    assert report.images.folder == str(tmp_path)
    assert report.images.mean_pixels == 12 * 9
    (broken,) = report.images.broken
    assert Path(broken.source).name == "torn.jpg"
    assert broken.failure.kind == "CorruptImage"
    assert report.results[0].end_to_end_per_s is not None


def test_an_image_above_max_pixels_is_left_out(tiny: Path, tmp_path: Path) -> None:
    make_image(tmp_path / "red.png", "red")
    with pytest.raises(NotAnImage, match="the limit is 100"):
        measure(tiny, tmp_path, max_pixels=100, **QUICK)


def test_a_folder_without_a_usable_image_is_an_error(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound):
        measure(tiny, tmp_path, **QUICK)
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(NotAnImage, match=r"None of the 2 images can be used. The first: .*one\.jpg"):
        measure(tiny, tmp_path, **QUICK)


def test_broken_weights_fail_alone_unless_they_were_requested(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / "onnx" / "model_int8.onnx").write_bytes(b"no graph")
    report = measure(folder, **QUICK)
    good, bad = report.results
    assert report.is_complete
    assert good.failure is None
    assert good.end_to_end_per_s is not None
    assert bad.failure is not None
    assert (bad.dtype, bad.failure.kind, bad.end_to_end_per_s) == ("int8", "InvalidModel", None)
    with pytest.raises(InvalidModel, match=r"model_int8\.onnx"):
        measure(folder, dtypes=["fp32", "int8"], **QUICK)
    (folder / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(InvalidModel):
        measure(folder, **QUICK)


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="onnxruntime-gpu is installed"
)
def test_a_device_without_its_package_is_an_error_before_anything_is_measured(tiny: Path) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'pictag\[gpu\]'"):
        measure(tiny, device="cuda", step_s=0.01)


def test_progress_contains_the_results_measured_before_an_interruption(tiny: Path) -> None:
    reports: list[Report] = []

    def interrupt(progress: Progress) -> None:
        reports.append(progress.report)
        if progress.step == "onnxruntime, q8: end to end":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(tiny, on_progress=interrupt, **QUICK)
    last = reports[-1]
    assert not last.is_complete
    finished, started = last.results
    assert finished.latency
    assert len(finished.inference) == 3
    assert started.start_s is not None
    assert started.end_to_end_per_s is None


def test_invalid_options_are_errors_before_anything_is_measured(tiny: Path) -> None:
    for options in (
        {"step_s": 0}, {"images": 0}, {"batch_size": 0}, {"decode": "quick"}, {"engines": ["tvm"]},
        {"dtypes": ["int9"]}, {"device": "gpu"}, {"cache_dir": 3},
    ):  # fmt: skip
        with pytest.raises(OptionError):
            measure(tiny, **{**QUICK, **options})
    with pytest.raises(UnknownOption, match="'engines'"):
        measure(tiny, engine="openvino")  # type: ignore[arg-type]
    with pytest.raises(ModelFileMissing, match="fp16"):
        measure(tiny, dtypes=["fp16"], **QUICK)
