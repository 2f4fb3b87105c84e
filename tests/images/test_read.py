"""Reading: every kind of source gives the same image, and what cannot be read says why."""

from __future__ import annotations

import base64
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest
from PIL import Image

from pictag.errors import (
    CorruptImage,
    ImageNotFound,
    ImageTooLarge,
    ImageUnreadable,
    InputError,
    NotAnImage,
    UnsupportedInput,
)
from pictag.images import DecodedImage, ImageLimits, make_source, prefetch, read_image

Encode = Callable[..., bytes]


def read(value: object) -> DecodedImage:
    return read_image(make_source(value))


@pytest.fixture(scope="module")
def data(photo: Image.Image, encode: Encode) -> bytes:
    return encode(photo, "PNG")


@pytest.fixture
def path(data: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    path.write_bytes(data)
    return path


def test_every_kind_of_source_gives_the_same_image(photo: Image.Image, data: bytes, path: Path) -> None:
    text = base64.b64encode(data).decode()
    sources: list[object] = [
        path,
        str(path),
        path.as_uri(),
        f"data:image/png;base64,{text}",
        f"data:;BASE64,{text.rstrip('=')}",
        f"data:image/png,{quote_from_bytes(data)}",
        text,
        data,
        bytearray(data),
        memoryview(data),
        io.BytesIO(data),
        photo,
        Image.open(path),
    ]
    for source in sources:
        assert read(source).rgb.tobytes() == photo.tobytes(), source


def test_a_file_object_is_read_from_where_it_stands_and_stays_open(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "two").write_bytes(b"header" + data)
    with (tmp_path / "two").open("rb") as file:
        file.seek(6)
        assert read(file).format == "PNG"
        assert not file.closed
        file.seek(0)
        with pytest.raises(NotAnImage):
            read(file)


def test_a_pipe_given_as_a_file_object_is_read(data: bytes) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    threading.Thread(target=write).start()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        assert read(pipe).format == "PNG"


def test_a_file_object_that_gives_text_is_refused() -> None:
    class Text:
        def read(self, _: int) -> str:
            return "text"

    with pytest.raises(UnsupportedInput, match="binary mode"):
        read(Text())


def test_a_file_object_that_fails_is_unreadable() -> None:
    class Broken:
        def read(self, _: int) -> bytes:
            raise OSError("the disk is gone")

    with pytest.raises(ImageUnreadable, match="the disk is gone"):
        read(Broken())
    closed = io.BytesIO(b"")
    closed.close()
    with pytest.raises(ImageUnreadable, match="closed"):
        read(closed)


@pytest.mark.parametrize(
    "name", ["-rf.png", "two\nlines.png", "ünï.png", "caf\udce9.png", "a b;c'.png", "%41.png"]
)
@pytest.mark.skipif(sys.platform != "linux", reason="such names are for file systems of bytes")
def test_a_file_of_any_name_is_read(
    data: bytes, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(data)
    assert read(name).format == "PNG"
    assert make_source(name).name == name


def test_a_file_that_is_not_there_is_a_file_not_found_error(tmp_path: Path) -> None:
    for missing in (tmp_path / "no.jpg", tmp_path / "no" / "no.jpg", "a" * 5000, "nul\0.jpg", "\ud800.jpg"):
        with pytest.raises((ImageNotFound, ImageUnreadable)) as caught:
            read(missing)
        assert len(str(caught.value)) < 400
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read(tmp_path / "no.jpg")


def test_a_file_is_no_folder(path: Path) -> None:
    with pytest.raises(ImageNotFound):
        read(path / "inside.png")


def test_a_folder_given_as_an_image_says_what_takes_folders(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match=r"is a folder.*pictag classify"):
        read(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_with_a_name_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ImageUnreadable, match="no regular file"):
        read(tmp_path / "pipe.jpg")


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no sockets with names here")
def test_sockets_and_devices_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        for name in ("socket.jpg", "/dev/zero", "/dev/null"):
            with pytest.raises(ImageUnreadable, match="no regular file"):
                read(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(ImageUnreadable, match="Permission denied"):
        read(path)


def test_a_link_that_leads_round_in_circles_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    with pytest.raises(ImageUnreadable):
        read(tmp_path / "round.jpg")


def test_a_broken_link_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "no.jpg")
    with pytest.raises(ImageNotFound):
        read(tmp_path / "broken.jpg")


@pytest.mark.parametrize(
    "url", ["data:image/png;base64", "data:", "data:image/png;base64,AAA*", "data:image/png;base64,"]
)
def test_a_data_url_without_an_image_is_an_error(url: str) -> None:
    with pytest.raises((NotAnImage, CorruptImage)):
        read(url)


def test_base64_that_breaks_off_is_corrupt(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    with pytest.raises(CorruptImage):
        read(text[: len(text) // 2])
    with pytest.raises(CorruptImage, match="cut off or altered"):
        read(text[:400] + "*" + text[400:])


def test_the_limit_on_bytes_holds_for_every_source(data: bytes, path: Path) -> None:
    text = base64.b64encode(data).decode()
    for value in (path, data, io.BytesIO(data), text, f"data:;base64,{text}"):
        limits = ImageLimits(max_bytes=len(data))
        assert read_image(make_source(value), limits=limits).format == "PNG"
        if isinstance(value, io.BytesIO):
            value.seek(0)
        with pytest.raises(ImageTooLarge, match="bytes"):
            read_image(make_source(value), limits=ImageLimits(max_bytes=len(data) - 1))


def test_an_endless_stream_ends_at_the_limit() -> None:
    class Endless:
        def read(self, count: int) -> bytes:
            return bytes(count)

    with pytest.raises(ImageTooLarge):
        read_image(make_source(Endless()), limits=ImageLimits(max_bytes=10**7))


def test_a_file_too_large_to_be_read_at_once_is_decoded_from_disk(
    path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictag.images.read._READ_AT_ONCE_BYTES", 10)
    assert read(path).rgb.tobytes() == photo.tobytes()


def test_no_file_stays_open(path: Path, tmp_path: Path) -> None:
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("open files cannot be counted here")
    (tmp_path / "bad.png").write_bytes(path.read_bytes()[:60])
    before = len(list(folder.iterdir()))
    for _ in range(5):
        read(path)
        with pytest.raises(InputError):
            read(tmp_path / "bad.png")
    assert len(list(folder.iterdir())) == before


def test_reading_files_loads_no_http_client(path: Path) -> None:
    code = (
        "import sys; from pictag.images import make_source, read_image; "
        "read_image(make_source(sys.argv[1])); "
        "print(*{'httpx2', 'httpcore2', 'ssl', 'pillow_heif'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no advice")
def test_a_file_that_is_asked_for_ahead_is_announced_to_the_system(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda handle, *rest: asked.append((os.fstat(handle).st_size, rest))
    )
    (tmp_path / "a.png").write_bytes(data)
    prefetch(make_source(tmp_path / "a.png"))
    prefetch(make_source(data))
    assert asked == [(len(data), (0, 256 * 2**20, os.POSIX_FADV_WILLNEED))]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes of POSIX")
def test_what_is_no_file_is_not_announced_and_its_error_comes_when_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = count_descriptors()
    for path in (tmp_path / "pipe", tmp_path / "missing.png", tmp_path, "nul\0.png", "/dev/full"):
        prefetch(make_source(path))
    assert count_descriptors() == before


def count_descriptors() -> int:
    """Files that this process has open, where the system tells."""
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
