"""The taggers of SmilingWolf, as folders have them and as the Hub has them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from PIL import Image

from hubclient import NAME, Home
from pictag import pipeline
from pictag.errors import InvalidModel
from pictag.models.load import Model, load_model
from pictag.models.reference import parse_reference

EDGE = 8
TAGS = (
    "tag_id,name,category,count\n"
    "9999999,general,9,807858\n"
    "470575,1girl,0,4225150\n"
    '1,"long, ""hair""_^_^",0,1\n'
)
LABELS = ("general", "1girl", 'long, "hair"_^_^')
# What timm writes: the PyTorch model takes other pixels than the graph.
CONFIG = {
    "architecture": "vit_base_patch16_224",
    "num_classes": 3,
    "pretrained_cfg": {
        "input_size": [3, EDGE, EDGE],
        "interpolation": "bicubic",
        "crop_pct": 1.0,
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
    },
}


def make_tagger(folder: Path, *, layout: str = "NHWC", config: object = CONFIG) -> Path:
    """A graph whose three scores are the sigmoid of each channel's mean, in the order of its channels."""
    folder.mkdir()
    shape, axes = (f"{EDGE},{EDGE},3", "1,2") if layout == "NHWC" else (f"3,{EDGE},{EDGE}", "2,3")
    graph = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> agraph (float[n,{shape}] input) => (float[n,3] output) '
        f"<float scale = {{0.01}}> {{m = ReduceMean<axes=[{axes}], keepdims=0>(input) l = Mul(m, scale) "
        "output = Sigmoid(l)}"
    )
    onnx.save(graph, folder / "model.onnx")
    (folder / "selected_tags.csv").write_text(TAGS, encoding="utf-8")
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def load(folder: Path) -> Model:
    return load_model(parse_reference(folder))


@pytest.mark.parametrize("config", [CONFIG, None])
def test_labels_layout_and_pixels_are_those_of_the_tagger(tmp_path: Path, config: object) -> None:
    model = load(make_tagger(tmp_path / "m", config=config))
    assert model.labels == LABELS
    assert (model.layout, model.outputs, model.problem_type) == (
        "NHWC", "probabilities", "multi_label_classification",
    )  # fmt: skip
    assert model.card.assumptions == ()
    assert model.spec.describe() == (
        "flatten transparent images on white",
        "pad to a square, border (255, 255, 255)",
        "resize to 8×8 (bicubic)",
        "reverse the channels (RGB to BGR)",
    )


@pytest.mark.parametrize("size", [(30, 17), (17, 30), (16, 16), (8, 8), (1, 9)])
def test_pixels_equal_those_of_the_authors_program(tmp_path: Path, size: tuple[int, int]) -> None:
    image = Image.effect_mandelbrot(size, (-2, -1, 1, 1), 40).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(size))
    # As https://huggingface.co/spaces/SmilingWolf/wd-tagger/blob/main/app.py does it.
    flat = Image.new("RGBA", size, "white")
    flat.alpha_composite(image)
    edge = max(size)
    square = Image.new("RGB", (edge, edge), "white")
    square.paste(flat.convert("RGB"), ((edge - size[0]) // 2, (edge - size[1]) // 2))
    expected = np.asarray(square.resize((EDGE, EDGE), Image.Resampling.BICUBIC), np.float32)[:, :, ::-1]
    with pipeline(model=make_tagger(tmp_path / "m")) as classifier:
        found = classifier.preprocess(image)[0].transpose(1, 2, 0)
    assert np.array_equal(found, expected)


def test_a_tagger_classifies(tmp_path: Path) -> None:
    with pipeline(model=make_tagger(tmp_path / "m"), top_k=None) as classifier:
        labels = {e["label"]: e["score"] for e in classifier(Image.new("RGB", (9, 9), (255, 0, 0)))}
    assert labels[LABELS[2]] == pytest.approx(1 / (1 + np.exp(-2.55)), abs=1e-6)  # red is the last channel
    assert labels["general"] == pytest.approx(0.5)


def test_other_models_with_tags_keep_their_own_preprocessing(tmp_path: Path) -> None:
    model = load(make_tagger(tmp_path / "m", layout="NCHW"))
    assert (model.labels, model.layout) == (LABELS, "NCHW")
    assert model.spec.processor == "TimmWrapperImageProcessor"


def test_a_pictag_toml_replaces_the_taggers_preprocessing(tmp_path: Path) -> None:
    folder = make_tagger(tmp_path / "m")
    (folder / "pictag.toml").write_text("crop = false\nscale = 1\nmean = 0\nstd = 1\n")
    assert load(folder).spec.describe()[0] == "resize to 8×8 (bilinear)"


@pytest.mark.parametrize("text", ["", "name\n", "tag_id,category\n1,2\n", 'name\na\n""\n', "\xff"])
def test_broken_tags_are_named(tmp_path: Path, text: str) -> None:
    folder = make_tagger(tmp_path / "m")
    (folder / "selected_tags.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidModel, match=r"selected_tags\.csv"):
        load(folder)


@pytest.mark.slow
@pytest.mark.parametrize("config", [CONFIG, None])
def test_a_tagger_on_the_hub_is_downloaded_with_its_tags(home: Home, tmp_path: Path, config: object) -> None:
    folder = make_tagger(tmp_path / "m", config=config)
    home.hub.publish(NAME, {path.name: path.read_bytes() for path in folder.iterdir()})
    for is_offline in (False, True):
        result = home.load(local_files_only=is_offline)
        assert result["labels"] == list(LABELS)
        assert "selected_tags.csv" in result["files"]
