"""The call: its result shapes, its kinds of input, and images that fail alone."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictag import ImageClassificationPipeline, Prediction
from pictag import pipeline as typed_pipeline
from pictag.errors import (
    CorruptImage,
    ImageNotFound,
    ImageTooLarge,
    InvalidModel,
    MissingExtra,
    ModelUnavailable,
    OptionError,
    PipelineClosed,
    UnknownOption,
    UnknownTask,
    UnsupportedInput,
)
from pictag.images import expand
from tinymodel import COLOURS, make_image, make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Classifier = ImageClassificationPipeline[Any]
pipeline: Callable[..., Classifier] = typed_pipeline  # its types are the subject of test_types.py


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Iterator[Classifier]:
    with pipeline("image-classification", model=folder) as made:
        yield made


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("images")
    for colour in COLOURS:
        make_image(place / f"{colour}.png", colour)
    (place / "corrupt.png").write_bytes((place / "red.png").read_bytes()[:40])
    return place


def colour_array(colour: str = "green") -> np.ndarray:
    return np.full((6, 5, 3), COLOURS[colour], np.uint8)


def test_one_image_gives_one_dict(classifier: Classifier, images: Path) -> None:
    result = classifier(str(images / "red.png"))
    assert result.keys() == {"label", "score"}
    assert result["label"] == "red"
    # logits 2, −2, −2
    assert result["score"] == pytest.approx(1 / (1 + 2 * np.exp(-4)), abs=1e-6)


def test_one_image_with_more_labels_gives_a_list(classifier: Classifier, images: Path) -> None:
    result = classifier(images / "blue.png", top_k=2)
    assert [entry["label"] for entry in result] == ["blue", "red"]


@pytest.mark.parametrize("top_k", [None, 3, 4, 10**6, 2**70])
def test_as_many_labels_as_there_are(classifier: Classifier, images: Path, top_k: int | None) -> None:
    result = classifier(images / "red.png", top_k=top_k)
    assert [entry["label"] for entry in result] == ["red", "green", "blue"]


def test_several_images_give_one_entry_each(classifier: Classifier, images: Path) -> None:
    several = [images / "red.png", images / "green.png"]
    assert [entry["label"] for entry in classifier(several)] == ["red", "green"]
    lists = classifier(several, top_k=2)
    assert [[entry["label"] for entry in row] for row in lists] == [["red", "green"], ["green", "red"]]
    assert classifier([several[0]])[0]["label"] == "red"
    assert classifier(tuple(several)) == classifier(iter(several)) == classifier(several)


def test_no_images_give_an_empty_list(classifier: Classifier) -> None:
    assert classifier([]) == []
    assert classifier([], top_k=3) == []
    assert classifier.predict([]) == []
    assert classifier.preprocess([]).shape == (0, 3, 8, 8)
    assert classifier.forward(classifier.preprocess([])).shape == (0, 3)


def test_always_list_gives_the_shapes_of_transformers(folder: Path, images: Path) -> None:
    with pipeline("image-classification", model=folder, always_list=True) as classifier:
        red = str(images / "red.png")
        assert [entry["label"] for entry in classifier(red)] == ["red"]
        assert [[e["label"] for e in row] for row in classifier([red, red])] == [["red"], ["red"]]
        assert len(classifier(red, top_k=2)) == 2


def test_every_kind_of_input_alone_and_mixed(
    classifier: Classifier, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = images / "green.png"
    content = path.read_bytes()
    text = base64.b64encode(content).decode()
    monkeypatch.chdir(images)
    with path.open("rb") as opened:
        kinds: list[Any] = [
            "green.png",
            str(path),
            path,
            path.as_uri(),
            f"data:image/png;base64,{text}",
            text,
            content,
            bytearray(content),
            memoryview(content),
            io.BytesIO(content),
            opened,
            Image.open(io.BytesIO(content)),
            colour_array(),
            colour_array().astype(np.uint16) * 257,
            colour_array() / np.float32(255),
        ]
        for kind in kinds[:9] + kinds[11:]:
            assert classifier(kind)["label"] == "green", kind
        assert [entry["label"] for entry in classifier(kinds)] == ["green"] * len(kinds)


@pytest.mark.parametrize("bad", [None, 3, 2.5, {"a": 1}, object(), io.StringIO("x"), np.zeros((2, 2, 7))])
def test_anything_else_is_an_error_that_lists_what_is_accepted(classifier: Classifier, bad: Any) -> None:
    with pytest.raises(UnsupportedInput, match=r"path|array|shape|row"):
        classifier(bad)
    good, failed = classifier.predict([colour_array(), bad])
    assert good.labels[0].label == "green"
    assert failed.error is not None
    assert failed.error.kind == "UnsupportedInput"


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("top", [1.0, 1.0001, 1.04])
def test_float_images_slightly_above_1_get_the_label_of_8_bit_ones(
    classifier: Classifier, colour: str, top: float
) -> None:
    """A bicubic resize overshoots. Read as 0…255, such an image would be black."""
    array = (colour_array(colour) / 255 * top).astype(np.float32)
    expected = classifier(colour_array(colour), top_k=None)
    assert classifier(array, top_k=None) == expected
    assert classifier([array, array], top_k=None) == [expected] * 2


def test_the_call_raises_an_images_error(classifier: Classifier, images: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"missing\.png") as told:
        classifier(images / "missing.png")
    assert isinstance(told.value, ImageNotFound)
    with pytest.raises(CorruptImage):
        classifier([images / "red.png", images / "corrupt.png"])


def test_a_corrupt_image_fails_alone(classifier: Classifier, images: Path) -> None:
    predictions = classifier.predict(expand([str(images)]), top_k=None)
    told = {p.source.rsplit("/", 1)[-1]: p.error.kind if p.error else p.labels[0].label for p in predictions}
    assert told == {
        "blue.png": "blue",
        "corrupt.png": "CorruptImage",
        "green.png": "green",
        "red.png": "red",
    }


def test_predictions_are_records_with_the_source_as_given(classifier: Classifier, images: Path) -> None:
    path = str(images / "green.png")
    (prediction,) = classifier.predict(path, top_k=2)
    assert isinstance(prediction, Prediction)
    assert prediction.source == path
    assert [(label.label, label.index) for label in prediction.labels] == [("green", 1), ("red", 0)]
    assert prediction.error is None


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(["red", "green", "blue", "bad"]), max_size=20),
    st.integers(1, 9),
    st.integers(1, 3),
)
def test_order_batch_size_and_threads_never_change_a_result(
    folder: Path, colours: list[str], batch_size: int, threads: int
) -> None:
    inputs = [b"not an image" if c == "bad" else colour_array(c) for c in colours]
    with pipeline(model=folder, threads=threads, batch_size=batch_size) as classifier:
        predictions = classifier.predict(inputs, top_k=None)
        alone = [classifier.predict([one], top_k=None)[0] for one in inputs]
    assert [p.labels[0].label if p.labels else "bad" for p in predictions] == colours
    for one, together in zip(alone, predictions, strict=True):
        assert one.error == together.error
        for a, b in zip(one.labels, together.labels, strict=True):
            assert a.index == b.index
            assert a.score == pytest.approx(b.score, abs=1e-5)


def test_the_three_steps_give_what_the_call_gives(classifier: Classifier, images: Path) -> None:
    several = [images / "red.png", images / "blue.png"]
    pixels = classifier.preprocess(several)
    assert pixels.shape == (2, 3, 8, 8)
    assert pixels.dtype == np.float32
    assert classifier.preprocess(several[0]).shape == (1, 3, 8, 8)
    logits = classifier.forward(pixels)
    assert logits.shape == (2, 3)
    assert classifier.postprocess(logits, top_k=2) == classifier(several, top_k=2)
    assert classifier.postprocess(logits[0]) == classifier(several[0])


@pytest.mark.parametrize("bad", [np.zeros((3, 8, 8)), np.zeros((1, 3, 8, 8), bool), "pixels", [[1], [2, 3]]])
def test_forward_names_the_shape_that_it_takes(classifier: Classifier, bad: Any) -> None:
    with pytest.raises(OptionError, match=r"\[N, C, H, W\]"):
        classifier.forward(bad)


@pytest.mark.parametrize("bad", [np.zeros((1, 4)), [None] * 3, "logits", [[1], [2, 3]]])
def test_postprocess_names_the_shape_that_it_takes(classifier: Classifier, bad: Any) -> None:
    with pytest.raises(OptionError, match=r"\[N, 3\]"):
        classifier.postprocess(bad)


@pytest.mark.parametrize(
    ("function", "expected"),
    [("softmax", 1 / (1 + 2 * np.exp(-4))), ("sigmoid", 1 / (1 + np.exp(-2))), ("none", 2.0)],
)
def test_the_function_to_apply_can_be_chosen(classifier: Classifier, function: Any, expected: float) -> None:
    result = classifier(colour_array("red"), function_to_apply=function)
    assert result["score"] == pytest.approx(expected, abs=1e-6)


def test_logits_below_zero_are_not_left_out(classifier: Classifier) -> None:
    """The default of ``min_score`` leaves out nothing; any other value is a minimum, also below zero."""
    red = colour_array("red")  # logits 2, -2, -2
    for options in ({}, {"min_score": 0}, {"min_score": -0.0}, {"min_score": -2.5}):
        entries = classifier(red, top_k=None, function_to_apply="none", **options)
        assert [entry["score"] for entry in entries] == pytest.approx([2, -2, -2]), options
        assert len(classifier(red, top_k=2, function_to_apply="none", **options)) == 2
    for floor in (1e-9, -1.5):
        entries = classifier(red, top_k=None, function_to_apply="none", min_score=floor)
        assert [entry["label"] for entry in entries] == ["red"]


def test_labels_below_min_score_are_left_out(classifier: Classifier) -> None:
    red = colour_array("red")
    assert [entry["label"] for entry in classifier(red, top_k=None, min_score=0.5)] == ["red"]
    assert classifier(red, top_k=None, min_score=0.999) == []
    assert classifier(red, min_score=0.999) is None
    assert classifier([red], min_score=0.999) == [None]
    assert classifier.predict(red, min_score=0.999)[0].labels == ()


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0}, {"top_k": True}, {"top_k": "5"}, {"min_score": "high"}, {"function_to_apply": "relu"},
        {"batch_size": 0}, {"timeout_s": 0},
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["__call__", "predict", "stream"])
def test_an_invalid_option_is_an_error_at_once(
    classifier: Classifier, method: str, options: dict[str, Any]
) -> None:
    (name, _) = next(iter(options.items()))
    with pytest.raises(OptionError, match=name):
        getattr(classifier, method)([colour_array()], **options)


def test_an_unknown_option_names_the_nearest(classifier: Classifier, folder: Path) -> None:
    with pytest.raises(UnknownOption, match="Did you mean 'top_k'"):
        classifier(colour_array(), topk=3)  # type: ignore[call-overload]
    with pytest.raises(UnknownOption, match="Did you mean 'dtype'"):
        pipeline(model=folder, dtyp="fp32")


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0}, {"threads": 0}, {"threads": 2**40}, {"max_pixels": -1}, {"alpha": "black"},
        {"decode": "slow"}, {"engine": "abacus"}, {"engine": None}, {"device": "tpu"},
        {"dtype": "fp31"},
    ],
)  # fmt: skip
def test_the_pipelines_own_options_are_checked(folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises((OptionError, InvalidModel), match=next(iter(options))):
        pipeline(model=folder, **options)


def test_an_unavailable_device_is_an_error_before_the_model_is_searched() -> None:
    with pytest.raises(OptionError, match="graphics-card"):
        pipeline(model="nobody/has-this-model", device="graphics-card")
    with pytest.raises((MissingExtra, ModelUnavailable), match=r"pictag\[gpu\]|nobody/has-this-model"):
        pipeline(model="nobody/has-this-model", device="cuda", local_files_only=True)


def test_an_unknown_task_is_an_error_that_lists_the_tasks(folder: Path) -> None:
    with pytest.raises(UnknownTask, match="image-classification"):
        pipeline("text-generation", model=folder)


def test_stream_takes_several_images(classifier: Classifier, images: Path) -> None:
    with pytest.raises(UnsupportedInput, match=r"into a list"):
        classifier.stream(str(images / "red.png"))
    endless = itertools.repeat(colour_array("blue"))
    first = next(iter(classifier.stream(endless, batch_size=2)))
    assert first.labels[0].label == "blue"


def test_stream_takes_folders_and_globs_among_other_inputs(classifier: Classifier, images: Path) -> None:
    mixed = [images, str(images / "*e*.png"), colour_array("red"), str(images / "nothing*.png")]
    told = [p.labels[0].label if p.labels else p.error for p in classifier.stream(mixed)]
    assert told[0] == "blue"
    assert told[2:6] == ["green", "red", "blue", "green"]
    assert len(told) == 4 + 3 + 1 + 1
    (prediction,) = classifier.predict(images)
    assert prediction.error is not None
    assert prediction.error.kind == "ImageUnreadable"


def test_stream_gives_what_was_observed_in_the_decoded_image(classifier: Classifier) -> None:
    upright = Image.new("RGB", (4, 7), "red")
    sideways = Image.new("CMYK", (3, 5))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    file = io.BytesIO()
    sideways.save(file, "JPEG", exif=exif)

    def observe(image: Image.Image) -> tuple[str, tuple[int, int]]:
        if image.size == (1, 1):
            raise OptionError("too small")
        return image.mode, image.size

    many = [upright, file.getvalue(), b"not an image", Image.new("1", (1, 1))] * 100  # more than one worker
    observed = list(classifier.stream(many, observe=observe))
    assert [p.observed for p in observed] == [("RGB", (4, 7)), ("RGB", (5, 3)), None, None] * 100
    assert [p.error and p.error.kind for p in observed[:4]] == [None, None, "NotAnImage", "OptionError"]
    assert all(p.observed is None for p in classifier.stream([upright]))


def test_closing_a_pipeline_ends_its_streams(folder: Path) -> None:
    classifier = pipeline(model=folder)
    predictions = classifier.stream(itertools.repeat(colour_array()), batch_size=1)
    next(predictions)
    classifier.close()
    with pytest.raises(PipelineClosed):
        list(itertools.islice(predictions, 100))


def test_a_closed_pipeline_says_so(folder: Path) -> None:
    with pipeline(model=folder) as classifier:
        assert "onnxruntime" in repr(classifier)
    assert "closed" in repr(classifier)
    classifier.close()
    for use in (classifier, classifier.predict, classifier.preprocess):
        with pytest.raises(PipelineClosed, match="closed"):
            use([colour_array()])


def test_the_limit_on_pixels_holds(folder: Path, images: Path) -> None:
    with (
        pipeline(model=folder, max_pixels=100) as classifier,
        pytest.raises(ImageTooLarge, match=r"108|12.9"),
    ):
        classifier(images / "red.png")


def test_transparent_images_can_be_flattened_on_white(folder: Path) -> None:
    # What is transparent here is red underneath; on white no channel stands out.
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    with pipeline(model=folder) as drops, pipeline(model=folder, alpha="white") as flattens:
        assert drops(image)["score"] > 0.9
        assert flattens(image)["score"] == pytest.approx(1 / 3, abs=1e-5)


def test_a_graph_that_contradicts_its_labels_is_an_error(tmp_path: Path) -> None:
    make_tiny_model(tmp_path)
    config = (tmp_path / "config.json").read_text().replace('"2": "blue"', '"2": "blue", "3": "violet"')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InvalidModel, match=r"model\.onnx: .* scores 3 labels, but .* name 4"):
        pipeline(model=tmp_path)


def test_fast_decoding_gives_the_same_label(folder: Path, tmp_path: Path) -> None:
    path = make_image(tmp_path / "large.jpg", "blue", size=(640, 480))
    with pipeline(model=folder, decode="fast") as fast, pipeline(model=folder) as exact:
        assert fast(path)["label"] == exact(path)["label"] == "blue"
        assert fast(path)["score"] == pytest.approx(exact(path)["score"], abs=1e-3)


def test_a_thin_image_is_an_error_before_it_is_enlarged_beyond_max_pixels(tmp_path: Path) -> None:
    make_tiny_model(tmp_path, size=224)
    (tmp_path / "preprocessor_config.json").write_text(
        '{"image_processor_type": "CLIPImageProcessor", "do_resize": true, "size": {"shortest_edge": 224},'
        ' "do_center_crop": true, "crop_size": {"height": 224, "width": 224}, "resample": 2,'
        ' "do_rescale": true, "rescale_factor": 0.00392156862745098, "do_normalize": true,'
        ' "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    thin = np.zeros((2, 1000, 3), np.uint8)
    with pipeline(model=tmp_path, max_pixels=1_000_000) as classifier:
        with pytest.raises(ImageTooLarge, match="resized as the model requires"):
            classifier(thin)
        assert classifier(thin[:, :100])["score"] > 0


def test_scoring_options_of_the_pipeline_are_defaults_of_every_call(folder: Path) -> None:
    red = colour_array("red")  # logits 2, -2, -2
    with pipeline(model=folder, top_k=2, function_to_apply="none", min_score=-5, batch_size=2) as classifier:
        assert [entry["score"] for entry in classifier(red)] == pytest.approx([2, -2])
        assert [len(entries) for entries in classifier([red, red])] == [2, 2]
        assert [len(p.labels) for p in (*classifier.predict(red), *classifier.stream([red]))] == [2, 2]
        logits = classifier.forward(classifier.preprocess(red))
        assert len(classifier.postprocess(logits[0])) == 2
        # A call replaces what it names, and leaves the rest.
        assert classifier(red, top_k=1)["score"] == pytest.approx(2)
        assert [entry["score"] for entry in classifier(red, min_score=0.5)] == pytest.approx([2])
        assert classifier(red, function_to_apply="sigmoid", top_k=1)["score"] < 1
        assert len(classifier(red, top_k=None)) == 3
    with pytest.raises(OptionError, match="top_k=0"):
        pipeline(model=folder, top_k=0)


def test_a_pipeline_names_its_task_device_labels_and_model(classifier: Classifier, folder: Path) -> None:
    assert (classifier.task, classifier.device) == ("image-classification", "cpu")
    assert classifier.labels == classifier.model.labels == ("red", "green", "blue")
    assert classifier.card.name == str(folder)
    assert repr(classifier) == (
        f"<pictag image-classification, model {str(folder)!r}, 3 labels, onnxruntime (cpu)>"
    )


def test_postprocess_takes_only_what_it_uses(classifier: Classifier) -> None:
    with pytest.raises(UnknownOption, match="postprocess"):
        classifier.postprocess(np.zeros(3), batch_size=2)
