"""`quantize_model` writes a working folder of 8-bit weights, or nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from engines.tinygraphs import ATTENTION, LOUD_CHANNEL, make_graph
from pictag import pipeline
from pictag.errors import (
    ImageNotFound,
    InvalidModel,
    MissingExtra,
    OptionError,
    OutputError,
    QuantizationRejected,
    UnknownOption,
)
from pictag.quantization import Progress, quantize_model
from tinymodel import make_image, make_tiny_model

COLOURS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "colours")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "photos"
    for number in range(12):
        make_image(folder / f"{number}.png", COLOURS[number % 3])
    return folder


def draw_near_ties(folder: Path) -> Path:
    """Images whose best label depends on less than one step of a pixel's value."""
    folder.mkdir()
    for number in range(12):
        pixels = np.full((8, 8, 3), 100 + number, np.uint8)
        pixels[: 2 + number % 3, :, 1 + number % 2] += 1
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_the_folder_works_with_both_engines(model: Path, photos: Path, tmp_path: Path) -> None:
    report = quantize_model(model, calibrate=photos, output=tmp_path / "int8")
    assert report.lowest_top1 == 1.0
    assert (report.calibration_images, report.check_images, report.check_held_out) == (9, 3, True)
    for engine in ("onnxruntime", "openvino"):
        with pipeline(model=tmp_path / "int8", engine=engine) as classifier:
            assert classifier.card.weights == "onnx/model_quantized.onnx"
            assert classifier.card.dtype == "q8"
            assert classifier.model.quantization == "static"
            assert classifier(photos / "1.png", top_k=1)["label"] == "green"
    assert sorted(path.name for path in (tmp_path / "int8").iterdir()) == [
        "card.json",
        "config.json",
        "onnx",
        "preprocessor_config.json",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "int8"]  # no working folder is left


def test_the_card_describes_the_quantization_without_paths(model: Path, photos: Path, tmp_path: Path) -> None:
    quantize_model(model, calibrate=photos, output=tmp_path / "int8", check=photos)
    text = (tmp_path / "int8" / "card.json").read_text()
    card = json.loads(text)["quantization"]
    assert card["schema"] == 2
    assert str(photos.parent) not in text
    assert str(model.parent) not in text
    assert card["original"]["model"] == "colours"
    assert len(card["original"]["sha256"]) == 64
    assert card["calibration"] == {"folder": "photos", "images": 12}
    assert card["check"] == {"folder": "photos", "images": 12, "held_out_from_calibration": False}
    assert card["tools"].keys() >= {"pictag", "nncf", "onnxruntime", "openvino"}
    (artefact,) = card["artefacts"].values()
    for measured in artefact["engines"].values():
        assert measured["agreement"]["top1"] == 1.0
        assert measured["images_per_second"]["quantized"] > 0
    with pipeline(model=tmp_path / "int8") as classifier:
        stated = json.loads(text)["files"]["onnx/model_quantized.onnx"]["sha256"]
        assert classifier.card.sha256 == stated


def test_a_model_with_attention_gets_one_file_per_engine(model: Path, photos: Path, tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "attention")
    onnx.save(make_graph(ATTENTION), tmp_path / "attention" / "onnx" / "model.onnx")
    report = quantize_model(tmp_path / "attention", calibrate=photos, output=tmp_path / "int8")
    assert report.has_attention
    assert report.lowest_top1 >= 0.97
    assert [(a.path, a.method, tuple(a.agreement)) for a in report.artefacts] == [
        ("onnx/model_quantized.onnx", "smooth", ("onnxruntime",)),
        ("onnx/model_quantized_openvino.onnx", "smooth", ("openvino",)),
    ]


def test_sensitive_nodes_stay_in_float_until_the_labels_agree(tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    rng = np.random.default_rng(7)
    for number in range(80):
        base = rng.integers(0, 256, 3)
        pixels = np.clip(base + rng.normal(0, 40, (8, 8, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(noise / f"{number}.png")
    make_tiny_model(tmp_path / "loud")
    onnx.save(make_graph(LOUD_CHANNEL), tmp_path / "loud" / "onnx" / "model.onnx")
    report = quantize_model(tmp_path / "loud", calibrate=noise, output=tmp_path / "int8")
    assert report.lowest_top1 >= 0.97
    (artefact,) = report.artefacts
    assert artefact.float_nodes == ("Conv_1",)  # the layer that reads the loud channel


def test_nothing_is_written_if_the_agreement_is_too_low(model: Path, photos: Path, tmp_path: Path) -> None:
    ties = draw_near_ties(tmp_path / "ties")
    with pytest.raises(QuantizationRejected, match=r"on 12 images: ONNX Runtime \d.*accept_below=True"):
        quantize_model(model, calibrate=photos, check=ties, output=tmp_path / "int8")
    assert list(tmp_path.iterdir()) == [ties]


def test_low_agreement_can_be_accepted_and_is_recorded(model: Path, photos: Path, tmp_path: Path) -> None:
    ties = draw_near_ties(tmp_path / "ties")
    report = quantize_model(model, calibrate=photos, check=ties, output=tmp_path / "int8", accept_below=True)
    assert report.lowest_top1 < report.threshold
    assert not json.loads((tmp_path / "int8" / "card.json").read_text())["quantization"]["reaches_threshold"]


def test_broken_images_are_reported_and_skipped(model: Path, photos: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for path in photos.iterdir():
        (mixed / path.name).write_bytes(path.read_bytes())
    (mixed / "5.png").write_bytes(b"no image")
    report = quantize_model(model, calibrate=mixed, output=tmp_path / "int8")
    (skipped,) = report.skipped
    assert skipped.source == str(mixed / "5.png")
    assert "5.png" in skipped.reason
    assert report.calibration_images + report.check_images == 11


def test_an_interruption_writes_nothing(model: Path, photos: Path, tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.step.startswith("Checking"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quantize_model(model, calibrate=photos, output=tmp_path / "int8", on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_only_replaced_with_overwrite(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    output = tmp_path / "int8"
    output.mkdir()  # an empty folder may be replaced
    quantize_model(model, calibrate=photos, output=output)
    with pytest.raises(OutputError, match="--overwrite"):
        quantize_model(model, calibrate=photos, output=output)
    report = quantize_model(model, calibrate=photos, output=output, overwrite=True, keep_original=True)
    assert report.lowest_top1 == 1.0
    original = (model / "onnx" / "model.onnx").read_bytes()
    assert (output / "onnx" / "model.onnx").read_bytes() == original
    with pipeline(model=output, dtype="q8") as classifier:
        assert classifier.card.weights == "onnx/model_quantized.onnx"
    assert list(tmp_path.iterdir()) == [output]


def test_a_foreign_folder_is_never_overwritten(model: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "diary.txt").write_text("dear")
    with pytest.raises(OutputError, match="was not written by 'pictag quantize'"):
        quantize_model(model, calibrate=photos, output=tmp_path, overwrite=True)
    assert (tmp_path / "diary.txt").read_text() == "dear"


@pytest.mark.parametrize("place", ["model", "photos", "above", "nowhere", "file"])
def test_an_invalid_output_is_rejected_before_any_work(
    model: Path, photos: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "file").touch()
    places = {
        "model": model,
        "photos": photos,
        "above": photos.parent,
        "nowhere": tmp_path / "a" / "b",
        "file": tmp_path / "file",
    }
    with pytest.raises(OutputError):
        quantize_model(model, calibrate=photos, output=places[place], overwrite=True)
    assert (model / "config.json").is_file()
    assert (photos / "1.png").is_file()


def test_too_few_images_are_an_error_with_the_minimum(model: Path, tmp_path: Path) -> None:
    make_image(tmp_path / "one" / "1.png")
    with pytest.raises(OptionError, match=r"too few usable images \(1\): calibration needs at least 4"):
        quantize_model(model, calibrate=tmp_path / "one", output=tmp_path / "int8")


def test_a_missing_folder_is_an_error(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="missing"):
        quantize_model(model, calibrate=tmp_path / "missing", output=tmp_path / "int8")


def test_an_already_quantized_model_is_rejected(model: Path, photos: Path, tmp_path: Path) -> None:
    quantize_model(model, calibrate=photos, output=tmp_path / "int8")
    with pytest.raises(InvalidModel, match="already quantized"):
        quantize_model(tmp_path / "int8", calibrate=photos, output=tmp_path / "again")


@pytest.mark.parametrize(
    "options",
    [
        {"min_agreement": 2},
        {"min_agreement": "high"},
        {"min_agreement": True},
        {"processor": "gpu"},
        {"most_images": 0},
    ],
)
def test_an_invalid_option_is_an_error(
    model: Path, photos: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    with pytest.raises(OptionError):
        quantize_model(model, calibrate=photos, output=tmp_path / "int8", **options)  # type: ignore[arg-type]


def test_an_unknown_option_suggests_the_nearest(model: Path, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownOption, match="'most_images'"):
        quantize_model(model, calibrate=photos, output=tmp_path / "int8", most_image=3)  # type: ignore[arg-type]


def test_without_its_packages_the_error_says_how_to_install_them(
    model: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(MissingExtra, match=r"missing: nncf.*pip install 'pictag\[quantize\]'"):
        quantize_model(model, calibrate=photos, output=tmp_path / "int8")


@pytest.mark.shared
def test_mobilenet_keeps_its_labels_on_photographs_it_was_not_calibrated_with(
    shared: Path, tmp_path: Path
) -> None:
    report = quantize_model(
        shared / "models" / "mobilenet_v2",
        calibrate=shared / "images" / "gallery",
        check=shared / "images" / "imagenet",
        output=tmp_path / "int8",
    )
    assert report.check_images == 200
    assert {e for a in report.artefacts for e in a.agreement} == {"onnxruntime", "openvino"}
    assert report.lowest_top1 >= 0.97
    assert all(artefact.size_bytes < report.original_bytes / 3 for artefact in report.artefacts)
