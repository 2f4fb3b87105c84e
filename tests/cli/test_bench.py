"""``pictag bench`` as a process, and its table for a report with known values."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pictag.benchmark.records import (
    BrokenImage,
    ImageFacts,
    InferenceRate,
    Latency,
    MachineFacts,
    Report,
    Result,
)
from pictag.cli.bench_table import draw_report
from pictag.records import Failure
from tinymodel import make_image, make_tiny_model

QUICK = ("--engine", "onnxruntime", "--seconds", "0.01", "--images", "2")
REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference.md"

RESULT = Result(
    engine="onnxruntime",
    dtype="fp32",
    weights="onnx/model.onnx",
    model_bytes=14_035_566,
    start_s=0.2,
    end_to_end_per_s=310.0,
    cpu_share=0.97,
    memory_bytes=298_000_000,
    latency=Latency(p50_ms=4.2, p90_ms=4.3, p99_ms=4.5, count=230),
    inference=(
        InferenceRate(batch_size=1, concurrency=1, per_s=524.0),
        InferenceRate(batch_size=4, concurrency=2, per_s=87.25),
    ),
)
REPORT = Report(
    began_at="2026-11-22T12:00:00+00:00",
    model="my-model",
    revision=None,
    device="cpu",
    decode="exact",
    batch_size=None,
    step_s=1.0,
    machine=MachineFacts(
        system="Linux", processor="Example CPU", cores=2, features=("avx2",), python="3.11.7",
        versions={"pictag": "0.1.0"},
    ),
    images=ImageFacts(
        folder="photos", count=64, broken=(), mean_bytes=72_404.0, mean_pixels=187_500.0
    ),
    results=(RESULT,),
    is_complete=True,
)  # fmt: skip


def bench(*arguments: str | bytes, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pictag", "bench", *arguments],
        capture_output=True, text=True, cwd=cwd, timeout=60, check=False,
    )  # fmt: skip


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each row by its name."""
    parts = [re.split(r"\s{2,}", line.strip()) for line in text.splitlines()]
    return {name: cells for name, *cells in parts}


def keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key != "versions":  # its keys are names of packages
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def test_every_field_of_the_json_is_in_the_reference(tiny: str, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    make_image(tmp_path / "photos" / "red.png")
    (tmp_path / "photos" / "torn.png").write_bytes(b"torn")
    done = bench(tiny, "photos", "--format", "json", *QUICK, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert report["schema"] == "pictag-bench/2"
    assert report["is_complete"] is True
    assert report["images"]["count"] == 1
    assert report["images"]["broken"][0]["failure"]["kind"] == "NotAnImage"
    assert report["results"][0]["end_to_end_per_s"] > 0
    text = REFERENCE.read_text(encoding="utf-8")
    for key in keys(report):
        assert f"`{key}`" in text, key


def test_a_failure_is_shown_below_the_table_and_the_exit_status_is_1(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / "onnx" / "model_int8.onnx").write_bytes(b"no graph")
    done = bench("model", *QUICK, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "")
    assert "2 images generated, 0.19 MP" in done.stdout
    assert "end to end" in done.stdout
    assert "onnxruntime, int8: " in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("missing-model",), "missing-model"),
        (("model", "missing"), "missing doesn't exist"),
        (("model", ".", "--engine", "onnxruntime"), "no images"),
        (("model", "--dtype", "fp16"), "no weights of dtype fp16"),
        (("model", "--engine", "tvm"), "'tvm' is not one of"),
        (("model", "--device", "gpu"), "--device 'gpu' is unknown"),
        (("model", "--seconds", "0"), "--seconds 0.0 is not a number of seconds above 0"),
        ((), "Missing argument 'MODEL'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_exit_status_2(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from pictag.cli import main

    make_tiny_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert main(["bench", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.startswith("pictag: ")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals and signals")
def test_ctrl_c_prints_the_measurements_so_far(tiny: str, tmp_path: Path) -> None:
    import pty

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "pictag", "bench", tiny, "--engine", "onnxruntime", "--images", "2"),
            *("--seconds", "0.05", "--format", "json"),
        ],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=slave,
    )
    os.close(slave)
    seen = b""
    while b"2 of 2 \xc2\xb7 onnxruntime, fp32: end to end" not in seen:
        seen += os.read(master, 65536)
    process.send_signal(signal.SIGINT)
    shown = process.communicate(timeout=30)[0].decode()
    assert process.returncode == 130
    assert "Interrupted; not everything was measured." in os.read(master, 65536).decode()
    os.close(master)
    report = json.loads(shown)
    assert report["is_complete"] is False
    assert report["images"]["count"] == 2
    assert report["results"][0]["start_s"] > 0
    assert report["results"][0]["end_to_end_per_s"] is None


def test_the_table_has_a_row_per_measurement_and_a_column_per_engine_and_dtype() -> None:
    other = replace(RESULT, engine="openvino", end_to_end_per_s=None, inference=())
    cells = rows(draw_report(replace(REPORT, results=(RESULT, other))))
    assert cells["onnxruntime"] == ["openvino"]
    assert cells["fp32"] == ["fp32"]
    assert cells["start, to the first label"] == ["0.20 s", "0.20 s"]
    assert cells["latency of one image, p99"] == ["4.5 ms", "4.5 ms"]
    assert cells["inference, batch 1"] == ["524 /s", "-"]
    assert cells["inference, batch 4, 2 at a time"] == ["87.2 /s", "-"]
    assert cells["end to end"] == ["310 /s", "-"]
    assert cells["CPU use"] == ["97%", "97%"]
    assert cells["peak memory"] == ["298.0 MB", "298.0 MB"]


def test_the_model_the_machine_and_the_images_are_above_the_table() -> None:
    text = draw_report(REPORT)
    assert "my-model on cpu" in text
    assert "Example CPU, 2 cores, Linux" in text
    assert "64 images from photos, 0.19 MP and 72.4 kB on average, decoded exact" in text


def test_a_narrow_terminal_gets_several_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictag.cli.tables.is_terminal", lambda _: True)
    monkeypatch.setenv("COLUMNS", "62")
    text = draw_report(replace(REPORT, results=(RESULT,) * 5))
    assert max(map(len, text.splitlines())) <= 62
    assert text.count("end to end") == 3


def test_broken_images_failures_and_an_interruption_are_reported() -> None:
    assert REPORT.images is not None
    failure = Failure(kind="CorruptImage", message="torn\x1b[31m.jpg: it was cut off.")
    broken = (BrokenImage(source="torn.jpg", failure=failure),) * 5
    report = replace(
        REPORT,
        images=replace(REPORT.images, broken=broken),
        results=(Result(engine="openvino", dtype="q8", failure=failure),),
        is_complete=False,
    )
    text = draw_report(report)
    assert text.count("it was cut off.") == 4
    assert "… and 2 more" in text
    assert "openvino, q8: torn" in text
    assert text.endswith("Interrupted; not everything was measured.\n")
    assert "\x1b" not in text
