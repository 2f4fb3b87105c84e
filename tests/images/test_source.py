"""Which values are accepted as an image, and their names."""

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
def test_every_kind_of_input_has_a_name(value: object, name: str, kind: str) -> None:
    source = make_source(value)
    assert (source.name, source.kind) == (name, kind)
    assert make_source(source) is source


def test_standard_input_is_named_stdin() -> None:
    with open(os.dup(0), "rb") as stdin:  # noqa: PTH123 - a descriptor
        assert make_source(stdin).name == "<file>"
    if sys.__stdin__ is not None:
        assert make_source(sys.__stdin__.buffer).name == "<stdin>"


@pytest.mark.parametrize("value", [None, 5, 1.5, True, object(), lambda: 0])
def test_other_values_are_rejected_with_their_type(value: object) -> None:
    with pytest.raises(UnsupportedInput, match="pictag accepts a path") as caught:
        make_source(value)
    assert isinstance(caught.value, TypeError)


def test_a_text_file_object_is_rejected_with_advice() -> None:
    with pytest.raises(UnsupportedInput, match="'rb'"):
        make_source(io.StringIO("text"))


@pytest.mark.parametrize("url", ["ftp://example.org/a.jpg", "s3://bucket/a.jpg", "gopher://a"])
def test_an_unsupported_scheme_is_named(url: str) -> None:
    with pytest.raises(UnsupportedInput, match=url.split(":", maxsplit=1)[0]):
        make_source(url)


def test_an_empty_string_is_rejected() -> None:
    with pytest.raises(UnsupportedInput, match="empty string"):
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


def test_a_file_url_of_another_machine_is_rejected() -> None:
    with pytest.raises(UnsupportedInput, match="another"):
        make_source("file://another/a.jpg")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF"])
def test_base64_text_is_recognised_by_its_image(photo: Image.Image, encode: Encode, form: str) -> None:
    data = encode(photo, form)
    for text in (
        base64.b64encode(data).decode(),
        base64.encodebytes(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    ):
        source = make_source(text)
        assert (source.name, source.kind) == ("<base64>", "base64")


def test_base64_of_other_data_is_a_path() -> None:
    assert make_source(base64.b64encode(b"no image at all" * 9).decode()).kind == "file"


def test_an_existing_file_takes_precedence_over_base64(
    photo: Image.Image, encode: Encode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = base64.urlsafe_b64encode(encode(photo.resize((1, 1)), "GIF")).decode()[:60]
    assert make_source(text).kind == "base64"
    monkeypatch.chdir(tmp_path)
    Path(text).touch()
    assert make_source(text).kind == "file"


@given(st.binary())
def test_every_variant_of_base64_is_decoded(data: bytes) -> None:
    assert decode_base64(base64.b64encode(data).decode()) == data
    assert decode_base64(base64.encodebytes(data).decode()) == data
    assert decode_base64(base64.urlsafe_b64encode(data).decode().rstrip("=")) == data


@pytest.mark.parametrize("text", ["a", "a===b", "ab*d"])
def test_invalid_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        decode_base64(text)


@given(st.text())
def test_any_text_is_a_source_or_an_error(text: str) -> None:
    try:
        source = make_source(text)
    except UnsupportedInput:
        return
    assert source.kind in ("file", "url", "data", "base64")


def test_one_image_is_distinguished_from_several() -> None:
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
        assert is_single(wrong), "it is one value, which make_source rejects"
    for several in ([], ["a.jpg"], (b"",), iter(["a"]), (path for path in "ab"), {"a.jpg"}, range(3)):
        assert not is_single(several), several
