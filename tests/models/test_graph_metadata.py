"""A bare ``.onnx`` file: what its metadata says, and what has to be assumed without it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from pictag import pipeline
from pictag.errors import InvalidModel, PictagWarning
from pictag.models.graph_metadata import read_metadata
from pictag.models.load import Model, load_model
from pictag.models.reference import parse_reference
from tinymodel import make_graph, make_image

if TYPE_CHECKING:
    from pathlib import Path

NAMES = {"task": "classify", "names": "{0: 'red', 1: 'green', 2: 'blue'}"}
CUSTOM_VISION = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}


def make_bare(
    folder: Path, metadata: dict[str, str] | None = None, *, settings: str | None = None, size: int | None = 8
) -> Path:
    """An ``.onnx`` file with these metadata and a ``labels.txt``."""
    graph = make_graph(size=size)
    for key, value in (metadata or {}).items():
        graph.metadata_props.add(key=key, value=value)
    folder.mkdir(exist_ok=True)
    onnx.save(graph, folder / "net.onnx")
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    if settings is not None:
        (folder / "pictag.toml").write_text(settings)
    return folder / "net.onnx"


def load(path: Path) -> Model:
    return load_model(parse_reference(path))


def steps(model: Model) -> str:
    return "; ".join(model.spec.describe())


@pytest.mark.parametrize(
    ("metadata", "settings"),
    [
        (NAMES, {"scale": 1 / 255, "mean": 0.0, "std": 1.0, "crop": True}),
        (NAMES | {"imgsz": "[64, 64]"}, {"size": [64, 64], "crop": True}),
        (NAMES | {"imgsz": "64"}, {"size": 64, "crop": True}),
        (NAMES | {"imgsz": "[64, 32]"}, {"size": [64, 32], "crop": False}),
        (NAMES | {"channels": "1"}, {"channels": 1}),
        (CUSTOM_VISION, {"channel_order": "BGR", "scale": 1.0, "mean": 0.0, "std": 1.0, "crop": False}),
        ({key.upper(): value.lower() for key, value in CUSTOM_VISION.items()}, {"channel_order": "BGR"}),
        ({"Image.BitmapPixelFormat": "Gray8"}, {"channels": 1}),
        ({"Image.NominalPixelRange": "Normalized_1_1"}, {"scale": 1 / 255, "mean": 0.5, "std": 0.5}),
        ({"Image.NominalPixelRange": "NominalRange_16_235"}, {"scale": 219 / 255, "mean": -16.0}),
    ],
)
def test_what_exporters_write_becomes_settings(metadata: dict[str, str], settings: dict[str, Any]) -> None:
    found = read_metadata(metadata)
    assert found is not None
    assert dict(found.settings) | settings == dict(found.settings)


@pytest.mark.parametrize(
    "metadata", [{}, {"task": "detect", "names": "{}"}, {"names": "{}"}, {"author": "me"}]
)
def test_other_metadata_says_nothing(metadata: dict[str, str]) -> None:
    assert read_metadata(metadata) is None


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (NAMES | {"names": "__import__('os').abort()"}, "'names' is not a table of labels"),
        (NAMES | {"imgsz": "large"}, "'imgsz' is not a size"),
        (NAMES | {"imgsz": "[0, 8]"}, "size"),
        (NAMES | {"channels": "three"}, "'channels' is not a number"),
        ({"Image.BitmapPixelFormat": "Yuv"}, "'Image.BitmapPixelFormat' is 'yuv'; it is one of gray8"),
        ({"Image.NominalPixelRange": "0..1"}, "'Image.NominalPixelRange'"),
        ({"Image.ColorSpaceGamma": "Linear"}, "sRGB"),
    ],
)
def test_metadata_that_cannot_be_followed_is_an_error(
    tmp_path: Path, metadata: dict[str, str], message: str
) -> None:
    with pytest.raises(InvalidModel, match=message):
        load(make_bare(tmp_path, metadata, size=None))


def test_without_metadata_the_preprocessing_is_assumed_and_said(tmp_path: Path) -> None:
    model = load(make_bare(tmp_path))
    (assumption,) = model.card.assumptions
    assert "net.onnx doesn't say how images are preprocessed" in assumption
    assert "deviation (0.229 0.224 0.225); single-label classification. If that is wrong" in assumption
    assert "pictag.toml" in assumption
    assert model.spec.output_size == (8, 8)


@pytest.mark.parametrize("settings", ["", "temperature = 2.0\n", "thresholds = { red = 0.5 }\n"])
def test_settings_about_other_things_leave_the_assumption(tmp_path: Path, settings: str) -> None:
    assert load(make_bare(tmp_path, settings=settings)).card.assumptions


@pytest.mark.parametrize("settings", ["crop = 0.875\n", "mean = 0.5\n", 'channel_order = "BGR"\n'])
def test_settings_about_images_leave_nothing_to_assume(tmp_path: Path, settings: str) -> None:
    assert load(make_bare(tmp_path, settings=settings)).card.assumptions == ()
    assert load(make_bare(tmp_path, CUSTOM_VISION, settings=settings)).card.assumptions == ()


def test_ultralytics_metadata_says_everything(tmp_path: Path) -> None:
    model = load(make_bare(tmp_path, NAMES | {"imgsz": "[64, 64]"}, size=None))
    assert model.card.assumptions == ()
    assert "Ultralytics" in model.card.notes[0]
    assert model.spec.output_size == (64, 64)
    assert "mean (0 0 0)" in steps(model)


def test_the_graphs_own_size_and_settings_come_before_metadata(tmp_path: Path) -> None:
    metadata = NAMES | {"imgsz": "[64, 64]"}
    assert load(make_bare(tmp_path, metadata, size=8)).spec.output_size == (8, 8)
    model = load(make_bare(tmp_path, metadata, size=None, settings="size = 16\nmean = 0.25\n"))
    assert model.spec.output_size == (16, 16)
    assert "mean (0.25 0.25 0.25)" in steps(model)


def test_custom_visions_models_get_bgr_of_0_to_255(tmp_path: Path) -> None:
    model = load(make_bare(tmp_path, CUSTOM_VISION))
    assert "resize to 8×8" in steps(model)
    assert "multiply by 1/1;" in steps(model)
    assert "BGR" in steps(model)
    (assumption,) = model.card.assumptions
    assert "doesn't say how images are resized" in assumption


def test_a_folder_of_an_ultralytics_model_needs_no_labels(tmp_path: Path) -> None:
    path = make_bare(tmp_path, NAMES)
    (tmp_path / "labels.txt").unlink()
    assert load(tmp_path).labels == ("red", "green", "blue")
    assert load(path).labels == ("red", "green", "blue")


def test_a_pipeline_warns_of_an_assumption_once(tmp_path: Path) -> None:
    path = make_bare(tmp_path)
    image = make_image(tmp_path / "red.png")
    with pytest.warns(PictagWarning, match="how images are preprocessed") as caught:
        classifier = pipeline(model=path)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with warnings.catch_warnings(), classifier:
        warnings.simplefilter("error")
        assert classifier.predict([image] * 2)[1].labels[0].label == "red"
