"""Models in folders and in single files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import onnx
import onnx.parser
import pytest
from PIL import Image

from pictag import pipeline
from pictag.errors import InvalidModel, ModelFileMissing, OptionError, UnsupportedProcessor
from pictag.models.load import LoadOptions, Model, load_model
from pictag.models.reference import parse_reference
from tinymodel import make_graph, make_tiny_model

SQUEEZENET = """
channel_order = "BGR"
scale = 1
mean = [103.94, 116.78, 123.68]
std = 1
crop = 0.875
"""


def load(path: Path, **options: object) -> Model:
    return load_model(parse_reference(path), LoadOptions(**options))  # type: ignore[arg-type]


def make_standalone(
    folder: Path, *, labels: str | None = "red\ngreen\nblue\n", settings: str | None = None
) -> Path:
    folder.mkdir(exist_ok=True)
    onnx.save(make_graph(size=8), folder / "net.onnx")
    if labels is not None:
        (folder / "labels.txt").write_text(labels, encoding="utf-8")
    if settings is not None:
        (folder / "pictag.toml").write_text(settings, encoding="utf-8")
    return folder / "net.onnx"


def test_a_folder_in_the_hubs_layout_is_loaded(tmp_path: Path) -> None:
    model = load(make_tiny_model(tmp_path / "m", files=("onnx/model.onnx", "onnx/model_quantized.onnx")))
    assert model.labels == ("red", "green", "blue")
    assert model.weights == tmp_path / "m" / "onnx" / "model.onnx"
    assert (model.card.dtype, model.outputs, model.layout) == ("fp32", "logits", "NCHW")
    assert model.spec.output_size == (8, 8)
    assert model.card.preprocessing == model.spec.describe()


def test_weights_at_the_root_are_found(tmp_path: Path) -> None:
    model = load(make_tiny_model(tmp_path / "m", files=("model.onnx",)), dtype="fp32")
    assert model.card.weights == "model.onnx"


def test_weights_in_an_onnx_folder_use_the_configuration_above(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m", files=("onnx/model.onnx", "onnx/model_quantized.onnx"))
    model = load(folder / "onnx" / "model.onnx")
    assert (model.card.kind, model.card.weights, model.card.dtype) == ("file", "onnx/model.onnx", "fp32")
    with pytest.raises(OptionError, match="Leave out dtype"):
        load(folder / "onnx" / "model.onnx", dtype="q8")


def test_a_folder_without_a_configuration_lists_its_files(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "config.json").unlink()
    with pytest.raises(
        ModelFileMissing,
        match=r"neither config\.json .*contains: preprocessor_config\.json, onnx/model\.onnx",
    ):
        load(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelFileMissing, match="The folder is empty"):
        load(tmp_path / "empty")


def test_the_licence_in_the_card_is_read(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "README.md").write_text('---\nlanguage: en\nlicense: "mit"\n---\nlicense: not this one\n')
    assert load(folder).card.licence == "mit"


@pytest.mark.parametrize("text", ["", "[]", "{", "nul", '{"a": ' * 5000, "\xff\xfe"])
def test_a_broken_configuration_is_named(tmp_path: Path, text: str) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(InvalidModel, match=r"config\.json"):
        load(folder)


def test_an_unsupported_processor_names_the_model(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "preprocessor_config.json").write_text('{"image_processor_type": "ImageGPTImageProcessor"}')
    with pytest.raises(UnsupportedProcessor, match="ImageGPT"):
        load(folder)


def test_a_graph_that_ends_in_softmax_gives_probabilities(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    onnx.save(make_graph(softmax=True), folder / "onnx" / "model.onnx")
    assert load(folder).outputs == "probabilities"


def test_the_problem_type_comes_from_the_configuration(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"problem_type": "multi_label_classification"}))
    assert load(folder).problem_type == "multi_label_classification"


def test_a_standalone_file_gets_imagenet_preprocessing_and_its_graphs_size(tmp_path: Path) -> None:
    model = load(make_standalone(tmp_path / "m"))
    assert model.labels == ("red", "green", "blue")
    assert model.spec.output_size == (8, 8)
    assert (model.outputs, model.layout, model.problem_type) == (
        "logits",
        "NCHW",
        "single_label_classification",
    )
    assert load(tmp_path / "m").weights == model.weights


def test_settings_beside_a_standalone_file_are_used(tmp_path: Path) -> None:
    settings = (
        'size = [6, 4]\nlayout = "NHWC"\noutput = "probabilities"\ncrop = false\nresample = "bicubic"\n'
    )
    model = load(make_standalone(tmp_path / "m", settings=settings + 'problem_type = "regression"\n'))
    assert model.spec.output_size == (6, 4)
    assert (model.layout, model.outputs, model.problem_type) == ("NHWC", "probabilities", "regression")
    assert "bicubic" in model.spec.describe()[0]


@pytest.mark.parametrize(
    ("settings", "mean", "std"),
    [
        ("mean = [1, 2, 3]\nstd = [4, 5, 6]\n", "(3 2 1)", "(6 5 4)"),
        ("mean = [1, 2, 3]\n", "(3 2 1)", "(0.229 0.224 0.225)"),
        ("std = [4, 5, 6]\n", "(0.485 0.456 0.406)", "(6 5 4)"),
    ],
)
def test_given_mean_and_deviation_are_in_the_channel_order(
    tmp_path: Path, settings: str, mean: str, std: str
) -> None:
    model = load(make_standalone(tmp_path / "m", settings='channel_order = "BGR"\n' + settings))
    steps = " ".join(model.spec.describe())
    assert f"mean {mean}" in steps
    assert f"deviation {std}" in steps
    assert "BGR" in model.spec.describe()[-1]


COMPLETE = 'channel_order = "BGR"\nscale = 1\nmean = [1, 2, 3]\nstd = 1\nresample = "bicubic"\ncrop = false\n'


@pytest.mark.parametrize("is_described", [True, False])
def test_a_pictag_toml_beside_a_configuration_describes_the_images(
    tmp_path: Path, is_described: bool
) -> None:
    folder = make_tiny_model(tmp_path / "m")
    if not is_described:
        (folder / "preprocessor_config.json").unlink()
    (folder / "pictag.toml").write_text(COMPLETE)
    model = load(folder)
    assert model.spec.describe() == (
        "resize to 8×8 (bicubic)",
        "multiply by 1/1",
        "subtract the mean (3 2 1), divide by the deviation (1 1 1)",
        "reverse the channels (RGB to BGR)",
    )
    assert model.card.assumptions == ()
    assert model.labels == ("red", "green", "blue")


def test_what_a_pictag_toml_leaves_open_is_said(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "pictag.toml").write_text("mean = 0.5\nstd = 0.5\n")
    (assumption,) = load(folder).card.assumptions
    assert "doesn't say channel_order, scale, resample, crop. pictag assumes: " in assumption
    assert "resize the shorter edge to 9 (bilinear)" in assumption


def test_other_keys_of_a_pictag_toml_leave_the_preprocessing_as_it_is(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    before = load(folder).spec
    (folder / "pictag.toml").write_text(
        'problem_type = "multi_label_classification"\nlayout = "NCHW"\ntemperature = 2\n'
    )
    model = load(folder)
    assert (model.spec, model.problem_type) == (before, "multi_label_classification")
    assert model.card.assumptions == ()


def test_labels_beside_a_configuration_that_names_none_are_used(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "labels.txt").write_text("one\ntwo\nthree\n")
    assert load(folder).labels == ("red", "green", "blue")
    config = json.loads((folder / "config.json").read_text())
    del config["id2label"], config["label2id"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load(folder).labels == ("one", "two", "three")


def test_channels_last_are_seen_in_the_graph_or_said_in_pictag_toml(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "m")
    for shape, settings in (("8,8,3", ""), ("h,w,c", 'layout = "NHWC"\n')):
        graph = onnx.parser.parse_model(
            f'<ir_version: 8, opset_import: ["" : 17]> g (float[n,{shape}] x) => (float[n,3] logits) '
            "{logits = ReduceMean<axes=[1,2], keepdims=0>(x)}"
        )
        onnx.save(graph, folder / "onnx" / "model.onnx")
        (folder / "pictag.toml").write_text(settings)
        assert load(folder).layout == "NHWC"
        with pipeline(model=folder) as classifier:
            (prediction,) = classifier.predict(Image.new("RGB", (9, 9), (0, 0, 255)))
        assert prediction.labels[0].label == "blue"


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ("sise = 224", "Did you mean 'size'"),
        ("zzz = 1", "The keys are: size"),
        ('layout = "HWCN"', "layout"),
        ('output = "scores"', "logits, probabilities"),
        ('problem_type = "guess"', "problem_type"),
        ("size = 0", "size"),
        ('size = "large"', "size"),
        ("mean = [1, 2]", "mean"),
        ("std = 0", "std"),
        ('channel_order = "GRB"', "channel_order"),
        ('resample = "magic"', "resample"),
        ("crop = 7", "crop"),
        ("channels = 4", "channels"),
        ("size = ", "not TOML"),
    ],
)
def test_wrong_settings_are_named_with_their_file(tmp_path: Path, settings: str, part: str) -> None:
    path = make_standalone(tmp_path / "m", settings=settings)
    with pytest.raises(InvalidModel, match=part) as caught:
        load(path)
    assert "pictag.toml" in str(caught.value)


def test_a_standalone_file_without_labels_says_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing, match=r"no labels\.txt beside it \(one label per line\)"):
        load(make_standalone(tmp_path / "m", labels=None))


def test_an_empty_line_between_labels_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidModel, match=r"Line 2 of .*labels\.txt is empty"):
        load(make_standalone(tmp_path / "m", labels="red\n\nblue\n"))


def test_labels_with_any_line_ending_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    path = make_standalone(tmp_path / "m", labels=None)
    (tmp_path / "m" / "labels.txt").write_bytes("\ufeffred\r\ngrün\r\nblue\r\n\r\n".encode())
    assert load(path).labels == ("red", "grün", "blue")


def test_a_graph_exported_by_ultralytics_needs_no_other_file(tmp_path: Path) -> None:
    graph = make_graph(size=8, softmax=True)
    for key, value in (
        ("task", "classify"),
        ("names", "{0: 'red', 1: 'green', 2: 'blue'}"),
        ("imgsz", "[8, 8]"),
    ):
        graph.metadata_props.add(key=key, value=value)
    onnx.save(graph, tmp_path / "yolo-cls.onnx")
    model = load(tmp_path / "yolo-cls.onnx")
    assert model.labels == ("red", "green", "blue")
    assert model.outputs == "probabilities"
    assert "subtract the mean (0 0 0)" in " ".join(model.spec.describe())


def test_names_in_the_metadata_are_never_executed(tmp_path: Path) -> None:
    graph = make_graph()
    graph.metadata_props.add(key="task", value="classify")
    graph.metadata_props.add(key="names", value="__import__('os').abort()")
    onnx.save(graph, tmp_path / "evil.onnx")
    with pytest.raises(InvalidModel, match="names"):
        load(tmp_path / "evil.onnx")


def test_the_embedded_model_is_complete() -> None:
    model = load_model(parse_reference("embedded"))
    assert len(model.labels) == 200
    assert (model.card.licence or "").lower() == "apache-2.0"
    assert model.card.sha256 is not None
    assert model.card.details["data"]


@pytest.mark.shared
def test_a_real_standalone_model_classifies_photographs(shared: Path, tmp_path: Path) -> None:
    from pictag import pipeline

    folder = tmp_path / "squeezenet"
    shutil.copytree(shared / "models" / "squeezenet_fp16_plain", folder, copy_function=shutil.copy)
    folder.chmod(0o755)
    (folder / "pictag.toml").write_text(SQUEEZENET, encoding="utf-8")
    images = sorted((shared / "images" / "imagenet").glob("*.jpg"))[::5]
    with pipeline("image-classification", model=folder) as classifier:
        assert classifier.model.outputs == "probabilities"
        predictions = classifier.predict(images)
    right = sum(
        prediction.labels[0].index == int(image.name[:4])
        for image, prediction in zip(images, predictions, strict=True)
    )
    # SqueezeNet 1.1 is right on 0.58 of ImageNet; these images were probably seen in training.
    assert right / len(images) >= 0.6


@pytest.mark.shared
def test_a_real_model_keeps_its_background_label(shared: Path) -> None:
    model = load(shared / "models" / "mobilenet_v2")
    assert (len(model.labels), model.labels[0], model.labels[1]) == (1001, "background", "tench, Tinca tinca")
