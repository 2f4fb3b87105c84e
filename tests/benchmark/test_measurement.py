from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from pictag.benchmark import measure, measurement
from pictag.benchmark.jobs import Broke, Job, LimitJob, Message
from pictag.benchmark.processes import run_job
from pictag.benchmark.records import Limits, Progress, Report
from pictag.errors import (
    EngineError,
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
        assert result.start_s is not None
        assert 0.05 < result.start_s < 60
        assert result.memory_bytes is None or 20e6 < result.memory_bytes < 2e9
        assert result.latency is not None
        assert result.latency.p50_ms <= result.latency.p90_ms <= result.latency.p99_ms
        assert result.judgement is not None
        assert sum(result.judgement.time_shares.values()) == pytest.approx(1)
        assert result.judgement.advice.endswith(".")
    assert report.images is not None
    assert (report.images.origin, report.images.count) == ("drawn", 4)
    assert report.limits is not None
    assert report.limits.float32 is not None
    assert {step.total for step in steps} == {6}
    assert [step.number for step in steps] == sorted(step.number for step in steps)


def test_broken_images_are_counted_and_left_out(tiny: Path, tmp_path: Path) -> None:
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


def test_a_folder_without_an_image_that_can_be_used_is_an_error(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="holds no images"):
        measure(tiny, tmp_path, **QUICK)
    for name in ("one.jpg", "two.jpg"):
        (tmp_path / name).write_bytes(b"no image")
    with pytest.raises(NotAnImage, match=r"None of the 2 images can be used. The first: .*one\.jpg"):
        measure(tiny, tmp_path, **QUICK)


def test_a_file_of_weights_that_is_broken_fails_alone_unless_it_was_asked_for(tmp_path: Path) -> None:
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
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="what it needs is installed"
)
def test_a_device_whose_package_is_missing_is_refused_before_anything_is_measured(tiny: Path) -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'pictag\[gpu\]'"):
        measure(tiny, device="cuda", step_s=0.01)


def test_without_limits_the_model_is_measured_all_the_same(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end_by_signal(job: Job) -> Generator[Message, None, None]:
        if isinstance(job, LimitJob):
            yield Broke(error=EngineError("The process that measured was ended by SIGILL."))
        else:
            yield from run_job(job)

    monkeypatch.setattr(measurement, "run_job", end_by_signal)
    report = measure(tiny, dtypes=["fp32"], **QUICK)
    assert report.limits == Limits()
    assert report.results[0].judgement is not None
    assert report.results[0].judgement.limit_share is None


def test_what_is_known_when_it_is_interrupted_was_told(tiny: Path) -> None:
    told: list[Report] = []

    def interrupt(progress: Progress) -> None:
        told.append(progress.report)
        if progress.step == "onnxruntime, q8: whole line":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(tiny, on_progress=interrupt, **QUICK)
    last = told[-1]
    assert not last.is_complete
    done, begun = last.results
    assert done.judgement is not None
    assert begun.start_s is not None
    assert begun.end_to_end_per_s is None


def test_options_of_no_meaning_are_refused_before_anything_is_measured(tiny: Path) -> None:
    for options in (
        {"step_s": 0}, {"images": 0}, {"batch_size": 0}, {"decode": "quick"}, {"engines": ["tvm"]},
        {"dtypes": ["int9"]}, {"device": "gpu"}, {"cache_dir": 3},
    ):  # fmt: skip
        with pytest.raises(OptionError):
            measure(tiny, **{**QUICK, **options})
    with pytest.raises(UnknownOption, match="Did you mean 'engines'"):
        measure(tiny, engine="openvino")  # type: ignore[call-arg]
    with pytest.raises(ModelFileMissing, match="no weights of dtype fp16"):
        measure(tiny, dtypes=["fp16"], **QUICK)
