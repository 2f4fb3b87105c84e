"""A git-lfs pointer, a web page or another format in place of a model's file is named."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from pictag import pipeline
from pictag.errors import InvalidModel, NotAnImage
from pictag.models.load import load_model
from pictag.models.reference import parse_reference
from tinymodel import make_graph, make_tiny_model

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21464f8b1c39\nsize 12345\n"
PAGE = b"<!DOCTYPE html>\n<html><body>Sign in</body></html>\n"
PLAIN = ("labels.txt", "pictag.toml", "selected_tags.csv")


def load(path: Path) -> None:
    load_model(parse_reference(path))


@pytest.mark.parametrize(
    "name", ["onnx/model.onnx", "onnx/weights.data", "config.json", "preprocessor_config.json", *PLAIN]
)
@pytest.mark.parametrize(
    ("content", "said"), [(POINTER, "git lfs pull"), (PAGE, "a web page in place of the file")]
)
def test_the_file_and_the_remedy_are_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    folder = make_tiny_model(tmp_path / "m")
    onnx.save(
        make_graph(), folder / "onnx" / "model.onnx",
        save_as_external_data=True, location="weights.data", size_threshold=0,
    )  # fmt: skip
    if name in PLAIN:
        (folder / "config.json").unlink()
        if name == "pictag.toml":
            (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    (folder / name).write_bytes(content)
    with pytest.raises(InvalidModel, match=said) as caught:
        load(folder)
    assert Path(name).name in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04" + bytes(500), "a ZIP archive, as PyTorch and Keras write"),
        (b"\x80\x02ctorch\n" + bytes(500), "a pickle of PyTorch"),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "an HDF5 file"),
        (b"\x1c\0\0\0TFL3" + bytes(500), "a TensorFlow Lite model"),
        (b'\x40\x01\0\0\0\0\0\0{"__metadata__": {}}', "a safetensors file"),
        (b"no model", "not an ONNX model"),
    ],
)
def test_another_format_of_models_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    folder = make_tiny_model(tmp_path / "m")
    (folder / "onnx" / "model.onnx").write_bytes(content)
    with pytest.raises(InvalidModel, match=said):
        load(folder)


def test_a_pointer_in_place_of_an_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(POINTER)
    with pipeline(model="embedded") as classifier, pytest.raises(NotAnImage, match="git lfs pull"):
        classifier(tmp_path / "cat.jpg")
