"""Native libraries don't write to the terminal; Pillow's warnings and logs follow the user's settings."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from images.decoding import decode_bytes
from pictag.errors import CorruptImage

Encode = Callable[..., bytes]


@pytest.fixture
def stderr(tmp_path: Path) -> Iterator[Callable[[], bytes]]:
    """Everything written to file descriptor 2, also by native code."""
    kept = os.dup(2)
    with (tmp_path / "stderr").open("w+b") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield (tmp_path / "stderr").read_bytes
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def test_libtiff_writes_nothing_to_the_terminal(
    photo: Image.Image, encode: Encode, stderr: Callable[[], bytes]
) -> None:
    data = bytearray(encode(photo, "TIFF", compression="tiff_lzw"))
    data[20:400] = bytes(380)
    for broken in (bytes(data), bytes(data[: len(data) // 2])):
        with pytest.raises(CorruptImage):
            decode_bytes(broken)
    assert stderr() == b""


def test_pillows_log_records_reach_only_the_users_handlers(
    stderr: Callable[[], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("PIL.TiffImagePlugin")
    with caplog.at_level(logging.ERROR):
        log.error("more samples than can be decoded")
    assert "more samples" in caplog.text
    assert stderr() == b""
    assert logging.getLogger("PIL").handlers, "without a handler Python itself prints errors"


def test_pillows_warnings_follow_the_users_filters(photo: Image.Image, encode: Encode) -> None:
    data = encode(photo.convert("P"), "PNG", transparency=bytes(range(256)))
    with pytest.warns(UserWarning, match="Transparency"):
        decode_bytes(data)
    before = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")  # the filter that the interfaces install
        decode_bytes(data)
    assert warnings.filters == before
