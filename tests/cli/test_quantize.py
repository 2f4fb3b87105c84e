"""``pictag quantize`` as a shell sees it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from tinymodel import make_image

Pictag = Callable[..., CompletedProcess[bytes]]


def draw(folder: Path) -> None:
    for number in range(8):
        make_image(folder / f"{number}.png", ("red", "green", "blue")[number % 3])


def test_a_model_is_quantised_used_and_inspected(pictag: Pictag, tiny: str, tmp_path: Path) -> None:
    draw(tmp_path / "photos")
    (tmp_path / "photos" / "broken.png").write_bytes(b"nothing")
    done = pictag("quantize", tiny, "--calibrate", "photos", "--output", "int8")
    assert done.returncode == 0, done.stderr
    out = done.stdout.decode()
    assert "int8: calibrated with 6 images, checked on 2 held back from the calibration" in out
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


def test_what_cannot_be_done_is_one_sentence_and_status_2(pictag: Pictag, tiny: str, tmp_path: Path) -> None:
    draw(tmp_path / "photos")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    done = pictag("quantize", tiny, "--calibrate", "photos", "--output", "there")
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.decode().splitlines() == [
        "pictag: there exists. Use --overwrite (overwrite=True) to replace it."
    ]


def test_the_images_must_be_named(pictag: Pictag, tiny: str) -> None:
    done = pictag("quantize", tiny, "--output", "int8")
    assert done.returncode == 2
    assert b"--calibrate" in done.stderr
