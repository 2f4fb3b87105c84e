"""What decoders say to themselves stays with them."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from pictag.errors import CorruptImage
from pictag.images.decode import decode_bytes
from pictag.images.silence import suppress_pillow_warnings

Encode = Callable[..., bytes]


@pytest.fixture
def noisy(photo: Image.Image, encode: Encode) -> bytes:
    """A palette PNG with transparency in bytes: Pillow warns when it is converted."""
    return encode(photo.convert("P"), "PNG", transparency=bytes(range(256)))


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[Callable[[], bytes]]:
    """Everything that is written on file descriptor 2, by whomever."""
    kept = os.dup(2)
    with (tmp_path / "stderr").open("w+b") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield (tmp_path / "stderr").read_bytes
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def test_pillow_does_warn_about_this_image(noisy: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(noisy)
    with Image.open(tmp_path / "a.png") as image, pytest.warns(UserWarning, match="Transparency"):
        image.convert("RGB")


@pytest.mark.parametrize("action", ["error", "always", "default"])
def test_no_warning_of_pillow_leaves_whatever_filters_there_are(noisy: bytes, action: str) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter(action)  # type: ignore[arg-type]
        decode_bytes(noisy)
        warnings.simplefilter(action)  # type: ignore[arg-type]
        decode_bytes(noisy)
    assert caught == []


def test_warnings_outside_of_decoding_are_the_users(noisy: bytes, tmp_path: Path) -> None:
    decode_bytes(noisy)
    (tmp_path / "a.png").write_bytes(noisy)
    with Image.open(tmp_path / "a.png") as image, pytest.warns(UserWarning, match="Transparency"):
        image.convert("RGB")
    with suppress_pillow_warnings(), pytest.warns(UserWarning, match="mine"):
        warnings.warn("mine", UserWarning, stacklevel=1)


def test_another_thread_keeps_its_warnings_meanwhile(noisy: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(noisy)
    inside, done = threading.Event(), threading.Event()

    def decode_slowly() -> None:
        with suppress_pillow_warnings():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=decode_slowly)
    thread.start()
    inside.wait(10)
    with Image.open(tmp_path / "a.png") as image, pytest.warns(UserWarning, match="Transparency"):
        image.convert("RGB")
    done.set()
    thread.join()


def test_the_filters_do_not_grow(noisy: bytes) -> None:
    decode_bytes(noisy)
    before = len(warnings.filters)
    for _ in range(9):
        warnings.simplefilter("error", ResourceWarning)
        decode_bytes(noisy)
    assert len(warnings.filters) <= before + 1


def test_libtiff_says_nothing_on_the_terminal(
    photo: Image.Image, encode: Encode, stderr: Callable[[], bytes]
) -> None:
    data = bytearray(encode(photo, "TIFF", compression="tiff_lzw"))
    data[20:400] = bytes(380)
    for broken in (bytes(data), bytes(data[: len(data) // 2])):
        with pytest.raises(CorruptImage):
            decode_bytes(broken)
    assert stderr() == b""


def test_pillows_log_reaches_the_users_handlers_and_no_others(
    stderr: Callable[[], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("PIL.TiffImagePlugin")
    with caplog.at_level(logging.ERROR):
        log.error("more samples than can be decoded")
    assert "more samples" in caplog.text
    assert stderr() == b""
    assert logging.getLogger("PIL").handlers, "without a handler Python itself prints errors"
