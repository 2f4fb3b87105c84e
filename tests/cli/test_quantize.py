"""``pictag quantize`` in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tinymodel import make_image

Pictag = Callable[..., CompletedProcess[bytes]]


def draw(folder: Path) -> None:
    for number in range(8):
        make_image(folder / f"{number}.png", ("red", "green", "blue")[number % 3])


def test_a_model_is_quantized_used_and_inspected(pictag: Pictag, tiny: str, tmp_path: Path) -> None:
    draw(tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").write_bytes(b"nothing")
    done = pictag("quantize", tiny, "--calibrate", "photos", "--output", "int8")
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode()
    assert "int8: calibrated with 6 images, checked on 2 held out of the calibration" in out
    assert "ONNX Runtime 100.0% same best label" in out
    assert "OpenVINO     100.0% same best label" in out
    errors = done.stderr.decode().splitlines()
    assert len(errors) == 1
    assert "Left out" in errors[0]
    assert "broken.png" in errors[0]
    inspected = pictag("models", "inspect", "int8").stdout.decode()
    assert "calibrated with 6 images, checked on 2" in inspected
    assert "with openvino: 100.0% same best label" in inspected
    labels = pictag("classify", "photos/0.png", "--model", "int8", "--format", "csv", "--top-k", "1")
    assert b"red" in labels.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--output", "int8"], b"--calibrate"),
        (["--output", "there", "--calibrate", "photos"], b"Choose a new folder"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(
    pictag: Pictag, tiny: str, tmp_path: Path, options: list[str], said: bytes
) -> None:
    draw(tmp_path / "photos")
    draw(tmp_path / "there")
    done = pictag("quantize", tiny, *options)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, b"", 1)
    assert said in done.stderr
