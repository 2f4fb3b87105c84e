"""Lists of names: line ends, NUL bytes and encodings."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

import pytest

from pictag.cli import main
from pictag.cli.inputs import read_names
from pictag.errors import ImageUnreadable
from tinymodel import make_image

NAMES = ["first.jpg", "two words.jpg", "sub/naïve.jpg", "日本.jpg"]
ENCODINGS = {
    "utf-8": b"",
    "utf-8-sig": b"",
    "utf-16": b"",
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


class Pieces(io.RawIOBase):
    """A pipe that gives a few bytes at a time."""

    def __init__(self, data: bytes, count: int) -> None:
        self._data, self._count = data, count

    def readable(self) -> bool:
        return True

    def read1(self, _size: int) -> bytes:
        part, self._data = self._data[: self._count], self._data[self._count :]
        return part


def read(data: bytes) -> list[str]:
    return list(read_names(io.BytesIO(data), "list.txt"))


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_a_list_may_have_a_byte_order_mark(encoding: str, line_end: str, last: bool) -> None:
    text = line_end.join(NAMES) + (line_end if last else "")
    data = ENCODINGS[encoding] + text.encode(encoding)
    assert read(data) == NAMES
    for count in (1, 2, 3, 5):
        assert list(read_names(Pieces(data, count), "list.txt")) == NAMES  # type: ignore[arg-type]


def test_a_byte_order_mark_before_nul_separated_names_is_removed() -> None:
    assert read(codecs.BOM_UTF8 + "\0".join(NAMES).encode()) == NAMES
    assert read("\0".join(NAMES).encode("utf-16")) == NAMES


def test_a_long_list_in_utf_16_is_read_in_blocks() -> None:
    names = [f"{number:06}-é.jpg" for number in range(20_000)]
    assert read("\r\n".join(names).encode("utf-16")) == names


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", ["a.jpg\n", "./a.jpg\r\nb.jpg\r\n", "日本.jpg\nb.jpg\n", "cat"])
def test_utf_16_without_a_byte_order_mark_is_an_error(encoding: str, text: str) -> None:
    with pytest.raises(ImageUnreadable, match=r"^list\.txt .*UTF-8"):
        read(text.encode(encoding))


def test_what_only_starts_like_utf_16_is_an_error() -> None:
    with pytest.raises(ImageUnreadable, match=r"^list\.txt starts like UTF-16"):
        read(codecs.BOM_UTF16_LE + b"a")
    with pytest.raises(ImageUnreadable, match=r"^list\.txt starts like UTF-16"):
        read(codecs.BOM_UTF16_LE + b"a\0\0\xd8b\0")


def test_a_list_from_a_slow_pipe_is_not_waited_for() -> None:
    names = read_names(Pieces(b"a.jpg\nb.jpg\n", 6), "list.txt")  # type: ignore[arg-type]
    assert next(names) == "a.jpg"


def test_only_listed_images_are_classified(
    tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """As single characters, the list would also name the folders ``.`` and ``/``."""
    monkeypatch.chdir(tmp_path)
    for name in ("listed.png", "other.png"):
        make_image(tmp_path / name)
    listed = "./listed.png\r\n"
    for data in (listed.encode("utf-16"), listed.encode("utf-8-sig")):
        Path("list.txt").write_bytes(data)
        assert main(["classify", "--from-file", "list.txt", "-m", tiny]) == 0
        assert [line.split('"')[3] for line in capfd.readouterr().out.splitlines()] == ["./listed.png"]
    Path("list.txt").write_bytes(listed.encode("utf-16-le"))
    assert main(["classify", "--from-file", "list.txt", "-m", tiny]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "list.txt" in err
    assert "UTF-8" in err
