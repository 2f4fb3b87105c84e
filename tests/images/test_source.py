"""What is taken as an image, and under which name."""

from __future__ import annotations

import base64
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pictag.errors import UnsupportedInput
from pictag.images import is_single, make_source
from pictag.images.source import decode_base64

Encode = Callable[..., bytes]


@pytest.mark.parametrize(
    ("value", "name", "kind"),
    [
        ("tiger.jpg", "tiger.jpg", "file"),
        (Path("a") / "tiger.jpg", os.path.join("a", "tiger.jpg"), "file"),  # noqa: PTH118 - what pathlib is compared with
        ("-rf.jpg", "-rf.jpg", "file"),
        ("two\nlines.jpg", "two\nlines.jpg", "file"),
        ("caf\udce9.jpg", "caf\udce9.jpg", "file"),
        ("https://example.org/a.jpg", "https://example.org/a.jpg", "url"),
        ("HTTP://example.org", "HTTP://example.org", "url"),
        ("http_is_a_file.png", "http_is_a_file.png", "file"),
        ("data:image/png;base64,AAAA", "<data>", "data"),
        (b"bytes", "<bytes>", "bytes"),
        (bytearray(b"bytes"), "<bytes>", "bytes"),
        (memoryview(b"bytes"), "<bytes>", "bytes"),
        (Image.new("L", (1, 1)), "<image>", "image"),
        (np.zeros((1, 1), np.uint8), "<array>", "array"),
        (io.BytesIO(), "<file>", "stream"),
    ],
)
def test_every_kind_of_input_has_its_name(value: object, name: str, kind: str) -> None:
    source = make_source(value)
    assert (source.name, source.kind) == (name, kind)
    assert make_source(source) is source


def test_standard_input_is_called_so() -> None:
    with open(os.dup(0), "rb") as stdin:  # noqa: PTH123 - a descriptor
        assert make_source(stdin).name == "<file>"
    if sys.__stdin__ is not None:
        assert make_source(sys.__stdin__.buffer).name == "<stdin>"


@pytest.mark.parametrize("value", [None, 5, 1.5, True, object(), {"a": 1}, ["a.jpg"], lambda: 0])
def test_anything_else_is_refused_by_type(value: object) -> None:
    with pytest.raises(UnsupportedInput, match="pictag takes a path") as caught:
        make_source(value)
    assert isinstance(caught.value, TypeError)


def test_a_text_file_object_is_refused_with_the_remedy() -> None:
    with pytest.raises(UnsupportedInput, match="'rb'"):
        make_source(io.StringIO("text"))


@pytest.mark.parametrize("url", ["ftp://example.org/a.jpg", "s3://bucket/a.jpg", "gopher://a"])
def test_another_scheme_is_refused_by_name(url: str) -> None:
    with pytest.raises(UnsupportedInput, match=url.split(":", maxsplit=1)[0]):
        make_source(url)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(UnsupportedInput, match="empty text"):
        make_source("")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a/b%20c.jpg", "/a/b c.jpg"),
        ("file:/a/b.jpg", "/a/b.jpg"),
        ("FILE://localhost/a/b.jpg", "/a/b.jpg"),
        ("file:///caf%E9.jpg", "/caf\udce9.jpg"),
        ("file:///a#b?c.jpg", "/a#b?c.jpg"),
        ("file:///ä.jpg", "/ä.jpg"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX systems")
def test_a_file_url_is_a_path(url: str, path: str) -> None:
    source = make_source(url)
    assert (source.name, source.kind, source.value) == (url, "file", path)


def test_a_file_url_of_another_machine_is_refused() -> None:
    with pytest.raises(UnsupportedInput, match="another"):
        make_source("file://another/a.jpg")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_base64_text_is_recognised_by_the_image_in_it(photo: Image.Image, encode: Encode, form: str) -> None:
    data = encode(photo, form)
    for text in (
        base64.b64encode(data).decode(),
        base64.encodebytes(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    ):
        source = make_source(text)
        assert (source.name, source.kind) == ("<base64>", "base64")


def test_base64_of_no_image_is_a_path() -> None:
    assert make_source(base64.b64encode(b"no image at all" * 9).decode()).kind == "file"


def test_a_file_of_that_name_comes_before_base64(
    photo: Image.Image, encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = base64.urlsafe_b64encode(encode(photo.resize((1, 1)), "GIF")).decode()[:60]
    assert make_source(text).kind == "base64"
    monkeypatch.chdir(tmp_path)
    Path(text).touch()
    assert make_source(text).kind == "file"


@given(st.binary())
def test_base64_comes_back_however_it_was_written(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data
    assert decode_base64(base64.encodebytes(data).decode()) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode().rstrip("=")) == data


@pytest.mark.parametrize("text", ["a", "a===b", "ab*d"])
def test_what_is_no_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


@given(st.text())
def test_any_text_is_a_source_or_refused(text: str) -> None:
    try:
        source = make_source(text)
    except UnsupportedInput:
        return
    assert source.kind in ("file", "url", "data", "base64")


def test_one_image_is_told_from_several() -> None:
    for single in (
        "a.jpg",
        Path("a"),
        b"",
        bytearray(),
        io.BytesIO(),
        Image.new("L", (1, 1)),
        np.zeros((2, 2)),
    ):
        assert is_single(single), single
    for wrong in (None, 5, {"a": 1}):
        assert is_single(wrong), "it is one value, and make_source refuses it"
    for several in ([], ["a.jpg"], (b"",), iter(["a"]), (path for path in "ab"), {"a.jpg"}, range(3)):
        assert not is_single(several), several


def test_an_open_file_is_one_image_although_it_can_be_iterated(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    with (tmp_path / "a").open("rb") as file:
        assert is_single(file)
