"""``teach``, from labelled images to a model folder that every tool runs."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from blockimages import MAIN, make_block_image, make_classes
from pictag import pipeline
from pictag.errors import CorruptModel, InvalidData, ModelFileMissing, OutputError, TeachingRejected
from pictag.teaching import NONE_LABEL, teach
from pictag.teaching.examples import read_examples, write_examples
from tinymodel import make_tiny_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose embedding is an image's mean colour."""
    return make_tiny_model(tmp_path_factory.mktemp("model") / "colours")


@pytest.fixture(scope="session")
def taught(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was taught the classes warm and cold; don't change it."""
    folder = tmp_path_factory.mktemp("taught")
    teach(make_classes(folder / "photos"), folder / "model", base=base)
    return folder / "model"


def hash_files(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_the_taught_model_names_new_images(taught: Path) -> None:
    with pipeline(model=taught) as classifier:
        assert classifier.labels == ("cold", "warm")
        for name, main in MAIN.items():
            if name != "fresh":
                images = [make_block_image(main, seed) for seed in range(5000, 5005)]
                assert [one.labels[0].label for one in classifier.predict(images)] == [name] * 5


def test_the_written_model_has_the_scores_of_the_fitted_one_in_both_engines(taught: Path) -> None:
    session = onnxruntime.InferenceSession(taught / "onnx" / "model.onnx")  # without pictag
    images = [make_block_image(main, 7) for main in (0, 2)]
    with pipeline(model=taught, top_k=None) as classifier:
        (logits,) = session.run(["logits"], {"pixel_values": classifier.preprocess(images)})
        ours = [{entry["label"]: entry["score"] for entry in row} for row in classifier(images)]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(shares, [[row["cold"], row["warm"]] for row in ours], atol=1e-6)
    pytest.importorskip("openvino")
    with pipeline(model=taught, engine="openvino", top_k=None) as classifier:
        theirs = [{entry["label"]: entry["score"] for entry in row} for row in classifier(images)]
    assert all(abs(a[label] - b[label]) < 1e-5 for a, b in zip(ours, theirs, strict=True) for label in a)


def test_the_same_images_give_the_same_bytes(base: Path, taught: Path, tmp_path: Path) -> None:
    teach(make_classes(tmp_path / "photos"), tmp_path / "model", base=base)
    assert hash_files(tmp_path / "model") == hash_files(taught)


def test_the_card_says_how_it_was_taught_without_paths_or_times(taught: Path) -> None:
    card = json.loads((taught / "card.json").read_text(encoding="utf-8"))
    teaching = card["teaching"]
    assert teaching["labels"] == {"cold": 8, "warm": 8}
    assert teaching["base"]["model"] == "colours"
    assert teaching["cross_validation"]["figure"]["n"] == 16
    assert card["files"]["onnx/model.onnx"]["sha256"] == hash_files(taught)["onnx/model.onnx"]
    assert str(taught.parent) not in json.dumps(card)


def test_other_images_are_none_of_these(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos")
    make_classes(tmp_path / "other", names=("fresh",))
    found = teach(photos, tmp_path / "model", base=base, other=tmp_path / "other")
    assert found.images == {"cold": 8, NONE_LABEL: 8, "warm": 8}
    with pipeline(model=tmp_path / "model") as classifier:
        assert classifier.predict(make_block_image(MAIN["fresh"], 9))[0].labels[0].label == NONE_LABEL


def test_several_labels_per_image_are_scored_one_by_one(base: Path, tmp_path: Path) -> None:
    rows = []
    for number in range(30):
        image = Image.fromarray(
            np.concatenate(
                [np.asarray(make_block_image(main, number)) for main in (number % 3, number // 3 % 3)]
            )
        )
        image.save(tmp_path / f"{number}.png")
        labels = {name for name, main in MAIN.items() if main in (number % 3, number // 3 % 3)} - {"fresh"}
        rows.append((f"{number}.png", ";".join(sorted(labels))))
    with (tmp_path / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("path", "labels"), *rows])
    found = teach(tmp_path / "labels.csv", tmp_path / "model", base=base)
    assert found.is_multi_label
    assert found.cross_validation.figure.value > 0.8
    with pipeline(model=tmp_path / "model", top_k=None, all_scores=True) as classifier:
        assert classifier.model.problem_type == "multi_label_classification"
        scores = classifier.predict([tmp_path / name for name, _ in rows])
    totals = [prediction.scores.sum() for prediction in scores if prediction.scores is not None]
    assert len(totals) == 30
    assert max(totals) > 1.1  # both labels, which a softmax can't give


def test_an_update_knows_the_old_images_and_the_new_ones(base: Path, taught: Path, tmp_path: Path) -> None:
    new = make_classes(tmp_path / "new", names=("fresh", "warm"), first=100)
    update = teach(new, tmp_path / "updated", update=taught)
    assert update.images == {"cold": 8, "fresh": 8, "warm": 16}
    assert update.base == "colours"
    # The same images in one go: the order differs, and with it only the last digits.
    everything = make_classes(tmp_path / "all")
    make_classes(everything, names=("fresh", "warm"), first=100)
    whole = teach(everything, tmp_path / "whole", base=base)
    assert whole.images == update.images
    assert whole.cross_validation.figure.value == pytest.approx(update.cross_validation.figure.value, abs=0.1)


def test_an_update_corrects_the_label_of_an_image(taught: Path, tmp_path: Path) -> None:
    new = make_classes(tmp_path / "new", names=("warm",), first=100)
    shutil.copy(
        make_classes(tmp_path / "again", 1, names=("cold",)) / "cold" / "0.png", new / "warm" / "0.png"
    )
    update = teach(new, tmp_path / "updated", update=taught)
    assert update.images == {"cold": 7, "warm": 17}


def test_a_model_can_be_updated_in_place(taught: Path, tmp_path: Path) -> None:
    model = shutil.copytree(taught, tmp_path / "model")
    new = make_classes(tmp_path / "new", first=50)
    with pytest.raises(OutputError, match="already exists"):
        teach(new, model, update=model)
    teach(new, model, update=model, overwrite=True)
    assert len(read_examples(model)) == 32
    card = json.loads((model / "card.json").read_text(encoding="utf-8"))
    assert card["teaching"]["base"]["model"] == "colours"


def test_a_model_that_was_not_taught_cant_be_updated(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelFileMissing, match=r"no examples\.npz"):
        teach(make_classes(tmp_path / "new"), tmp_path / "model", update=base)


def test_random_labels_are_refused_and_nothing_is_written(base: Path, tmp_path: Path) -> None:
    for number in range(40):
        folder = tmp_path / "photos" / ("heads" if number * 7 % 13 % 2 else "tails")
        folder.mkdir(parents=True, exist_ok=True)
        make_block_image(number % 3, number).save(folder / f"{number}.png")
    with pytest.raises(TeachingRejected, match="the share of the largest class"):
        teach(tmp_path / "photos", tmp_path / "model", base=base)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_doubtful_images_are_named(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos", 60, names=("cold",))
    make_classes(photos, 7)
    shutil.copy(photos / "warm" / "0.png", photos / "cold" / "same.png")
    Image.open(photos / "warm" / "1.png").save(photos / "cold" / "near.jpg", quality=70)
    (photos / "cold" / "broken.png").write_bytes(b"no image")
    found = teach(photos, tmp_path / "model", base=base)
    left_out, near, rare = found.problems
    assert left_out.startswith("2 images are left out")
    assert "warm/0.png" in left_out
    assert "warm/1.png" in near
    assert "cold/near.jpg" in near
    assert "'warm' has 6 images and 'cold' 61" in rare
    assert [name for name, _ in found.failures] == ["cold/broken.png"]


@pytest.mark.parametrize(
    ("count", "names", "reason"),
    [
        (4, ("warm", "cold"), r"at least 5 different images.*cold \(4\), warm \(4\)"),
        (9, ("warm",), "only one label"),
    ],
)
def test_too_little_to_learn_from_is_refused(
    base: Path, tmp_path: Path, count: int, names: tuple[str, ...], reason: str
) -> None:
    with pytest.raises(InvalidData, match=reason):
        teach(make_classes(tmp_path / "photos", count, names=names), tmp_path / "model", base=base)


def test_copies_of_one_image_are_not_enough(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos", names=("cold",))
    (photos / "warm").mkdir()
    for size in range(96, 104):
        make_block_image(0, 0).resize((size, size)).save(photos / "warm" / f"{size}.png")
    with pytest.raises(InvalidData, match="near copies"):
        teach(photos, tmp_path / "model", base=base)


def test_an_output_that_exists_is_only_replaced_when_asked(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").touch()
    with pytest.raises(OutputError, match="not written by 'pictag teach'"):
        teach(photos, tmp_path / "mine", base=base, overwrite=True)
    with pytest.raises(OutputError, match="contains the model or the images"):
        teach(photos, photos, base=base)


def test_a_label_that_is_not_text_is_refused(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos")
    (photos / "cold").rename(photos / "c\udcfflder")
    with pytest.raises(InvalidData, match="isn't text in UTF-8"):
        teach(photos, tmp_path / "model", base=base)


def test_the_model_is_not_written_into_the_images(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos")
    with pytest.raises(OutputError, match="would be taken for a class"):
        teach(photos, photos / "model", base=base)


def test_images_with_two_labels_are_named_if_nothing_else_is_left(base: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos")
    with pytest.raises(InvalidData, match="images are left out"):
        teach(photos, tmp_path / "model", base=base, other=photos)


def test_an_update_with_the_examples_of_another_base_is_refused(taught: Path, tmp_path: Path) -> None:
    model = shutil.copytree(taught, tmp_path / "model")
    examples = [replace(one, embedding=np.ones(7, np.float32)) for one in read_examples(model)]
    write_examples(model / "examples.npz", examples)
    new = make_classes(tmp_path / "new", first=100)
    with pytest.raises(CorruptModel, match="belongs to another base"):
        teach(new, tmp_path / "updated", update=model)


def test_a_label_that_an_update_loses_is_named(taught: Path, tmp_path: Path) -> None:
    photos = make_classes(tmp_path / "photos", names=("cold",))
    (photos / "cold").rename(photos / "winter")
    found = teach(photos, tmp_path / "updated", update=taught)
    assert list(found.images) == ["warm", "winter"]
    assert found.problems[0].endswith("because no image has them any more: 'cold'.")
