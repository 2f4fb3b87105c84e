from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pictag.errors import ImageNotFound, InvalidData
from pictag.evaluation import read_labelled


def put(folder: Path, *names: str) -> Path:
    """Write small images, with their folders."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path)
    return folder


def test_each_folder_is_a_class_as_its_name_is_spelt(tmp_path: Path) -> None:
    put(tmp_path, "007/a.png", "nan/b.png", "7/c.png", "Cat/deep/er/d.png")
    data = read_labelled(tmp_path)
    assert data.classes == ("007", "7", "Cat", "nan")
    assert {image.name: image.labels for image in data.images} == {
        "007/a.png": ("007",), "7/c.png": ("7",), "Cat/deep/er/d.png": ("Cat",), "nan/b.png": ("nan",),
    }  # fmt: skip
    assert not data.is_multi_label


def test_splits_are_never_taken_for_classes(tmp_path: Path) -> None:
    put(tmp_path, "train/ants/a.png", "val/ants/b.png", "val/bees/c.png")
    with pytest.raises(InvalidData, match=r"has the splits train, val\. Choose one with split='val'"):
        read_labelled(tmp_path)
    data = read_labelled(tmp_path, split="val")
    assert (data.split, data.classes, len(data.images)) == ("val", ("ants", "bees"), 2)
    with pytest.raises(InvalidData, match="has no split 'test'; it has train, val"):
        read_labelled(tmp_path, split="test")


def test_a_single_split_needs_no_choice(tmp_path: Path) -> None:
    assert read_labelled(put(tmp_path, "test/ants/a.png")).split == "test"


def test_splits_without_class_folders_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "train/a.png", "test/b.png")
    with pytest.raises(InvalidData, match="named test, train, but have no class folders inside"):
        read_labelled(tmp_path)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    data = read_labelled(put(tmp_path, "train/a.png", "bus/b.png"))
    assert (data.split, data.classes) == (None, ("bus", "train"))


def test_what_is_left_out_is_named(tmp_path: Path) -> None:
    put(tmp_path, "cat/a.png", "lost.png")
    (tmp_path / "dog").mkdir()
    (tmp_path / ".cache").mkdir()
    assert read_labelled(tmp_path).problems == (
        "The class 'dog' has no images.",
        f"1 image lies outside the class folders of {tmp_path}, and is not used.",
    )


def test_data_without_images_or_classes_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="doesn't exist"):
        read_labelled(tmp_path / "missing")
    with pytest.raises(InvalidData, match="has no folders"):
        read_labelled(put(tmp_path / "flat", "a.png"))
    (tmp_path / "empty" / "cat").mkdir(parents=True)
    with pytest.raises(InvalidData, match="has no images"):
        read_labelled(tmp_path / "empty")
    with pytest.raises(InvalidData, match="has no splits"):
        read_labelled(put(tmp_path / "plain", "cat/a.png"), split="val")


def write_csv(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_bytes(text.encode("utf-8"))
    return path


def test_a_csv_has_a_path_and_labels_in_each_row(tmp_path: Path) -> None:
    data = read_labelled(write_csv(tmp_path, 'a.jpg,007\n"b, c.jpg",cat; dog ;cat\nd.jpg,\n'))
    assert [(image.name, image.labels) for image in data.images] == [
        ("a.jpg", ("007",)), ("b, c.jpg", ("cat", "dog")), ("d.jpg", ()),
    ]  # fmt: skip
    assert data.images[0].path == str(tmp_path / "a.jpg")
    assert data.classes == ("007", "cat", "dog")
    assert data.is_multi_label


def test_a_csv_may_name_its_columns(tmp_path: Path) -> None:
    text = "\ufeffid,Label,split,file\r\n1,nan,val,a.jpg\r\n2,cat,train,b.jpg\r\n"
    path = write_csv(tmp_path, text)
    data = read_labelled(path, split="val")
    assert [(image.name, image.labels) for image in data.images] == [("a.jpg", ("nan",))]
    with pytest.raises(InvalidData, match="has the splits train, val"):
        read_labelled(path)


def test_a_csv_may_name_urls(tmp_path: Path) -> None:
    data = read_labelled(write_csv(tmp_path, "https://example.org/a.jpg,cat\n"))
    assert (data.images[0].source.kind, data.images[0].source.name) == ("url", "https://example.org/a.jpg")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a.jpg,cat\nb.jpg\n", "Row 2 .* is 'b.jpg', not path,label"),
        ("a.jpg,cat,dog\n", "Row 1 .* not path,label"),
        (",cat\n", "Row 1"),
        ("a.jpg,cat\n./a.jpg,dog\n", "Rows 1 and 2 .* name the same image"),
        ('a.jpg,"cat\n', "Cannot read .* as CSV"),
        ("", "has no images"),
    ],
)
def test_a_broken_csv_is_an_error_that_names_the_row(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        read_labelled(write_csv(tmp_path, text))


def test_a_csv_without_splits_has_none_to_choose(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="no column named split"):
        read_labelled(write_csv(tmp_path, "a.jpg,cat\n"), split="val")


def test_a_csv_without_rows_is_an_error_about_rows(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("path,label\n")
    with pytest.raises(InvalidData, match="has no images in its rows"):
        read_labelled(path)


def test_an_empty_split_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("path,label,split\na.png,red,\nb.png,red,val\n")
    with pytest.raises(InvalidData, match=r"has the splits \(empty\), val"):
        read_labelled(path)
