"""Every kind of source gives the same image, and errors say why one can't be read."""

from __future__ import annotations

import base64
import errno
import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_from_bytes

import numpy as np
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
from pictag.images import DecodedImage, ImageLimits, make_source, read_image
from pictag.images.limits import MAX_PIXELS

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


def test_a_file_object_is_read_from_its_position_and_stays_open(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "two").write_bytes(b"header" + data)
    with (tmp_path / "two").open("rb") as file:
        file.seek(6)
        assert read(file).format == "PNG"
        assert not file.closed
        file.seek(0)
        with pytest.raises(NotAnImage):
            read(file)


def test_a_pipe_can_be_read_as_a_file_object(data: bytes) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    threading.Thread(target=write).start()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        assert read(pipe).format == "PNG"


def test_a_file_object_that_returns_text_is_rejected() -> None:
    class Text:
        def read(self, _: int) -> str:
            return "text"

    with pytest.raises(UnsupportedInput, match="binary mode"):
        read(Text())


def test_a_file_object_that_raises_is_unreadable() -> None:
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
def test_any_file_name_is_read(
    data: bytes, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(data)
    assert read(name).format == "PNG"
    assert make_source(name).name == name


def test_a_missing_file_is_a_file_not_found_error(tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").symlink_to(tmp_path / "no.jpg")
    (tmp_path / "file").touch()
    for missing in ("no.jpg", "no/no.jpg", "broken.jpg", "file/inside.png"):
        with pytest.raises(FileNotFoundError, match="the file doesn't exist") as not_found:
            read(tmp_path / missing)
        assert (not_found.value.errno, not_found.value.filename) == (errno.ENOENT, str(tmp_path / missing))
    for missing in ("a" * 5000, "nul\0.jpg", "\ud800.jpg"):
        with pytest.raises((ImageNotFound, ImageUnreadable)) as caught:
            read(missing)
        assert len(str(caught.value)) < 400


def test_the_error_for_a_folder_says_what_to_use(tmp_path: Path) -> None:
    with pytest.raises(ImageUnreadable, match=r"is a folder.*pictag classify"):
        read(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="needs named pipes and sockets")
def test_pipes_sockets_and_devices_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
        for name in ("pipe.jpg", "socket.jpg", "/dev/zero", "/dev/null"):
            with pytest.raises(ImageUnreadable, match="not a regular file"):
                read(name)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(path: Path) -> None:
    path.chmod(0)
    with pytest.raises(ImageUnreadable, match="Permission denied"):
        read(path)


def test_a_circular_link_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    with pytest.raises(ImageUnreadable) as caught:
        read(tmp_path / "round.jpg")
    assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, str(tmp_path / "round.jpg"))


@pytest.mark.parametrize(
    "url", ["data:image/png;base64", "data:", "data:image/png;base64,AAA*", "data:image/png;base64,"]
)
def test_a_data_url_without_an_image_is_an_error(url: str) -> None:
    with pytest.raises((NotAnImage, CorruptImage)):
        read(url)


def test_truncated_base64_is_corrupt(data: bytes) -> None:
    text = base64.b64encode(data).decode()
    with pytest.raises(CorruptImage):
        read(text[: len(text) // 2])
    with pytest.raises(CorruptImage, match="truncated or altered"):
        read(text[:400] + "*" + text[400:])


def test_max_bytes_applies_to_every_source(data: bytes, path: Path) -> None:
    text = base64.b64encode(data).decode()
    for value in (path, data, io.BytesIO(data), text, f"data:;base64,{text}"):
        limits = ImageLimits(max_bytes=len(data))
        assert read_image(make_source(value), limits=limits).format == "PNG"
        if isinstance(value, io.BytesIO):
            value.seek(0)
        with pytest.raises(ImageTooLarge, match="bytes"):
            read_image(make_source(value), limits=ImageLimits(max_bytes=len(data) - 1))


def test_an_endless_stream_is_read_up_to_max_bytes() -> None:
    class Endless:
        def read(self, count: int) -> bytes:
            return bytes(count)

    with pytest.raises(ImageTooLarge):
        read_image(make_source(Endless()), limits=ImageLimits(max_bytes=10**7))


def test_a_large_file_is_decoded_from_disk(
    path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictag.images.read._READ_AT_ONCE_BYTES", 10)
    assert read(path).rgb.tobytes() == photo.tobytes()


def test_no_file_stays_open(path: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_bytes(path.read_bytes()[:60])
    before = count_descriptors()
    read(path)
    with pytest.raises(InputError):
        read(tmp_path / "bad.png")
    assert count_descriptors() == before


def test_threads_that_share_an_unloaded_image_or_stream_get_whole_images() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    together = threading.Barrier(8)

    def read_together(image: Image.Image) -> bytes:
        together.wait()
        return read(image).rgb.tobytes()

    with ThreadPoolExecutor(8) as pool:
        for _ in range(30):
            image = Image.open(io.BytesIO(file.getvalue()))  # its pixels aren't decoded yet
            assert set(pool.map(read_together, [image] * 8)) == {noise.tobytes()}
    whole = io.BytesIO(file.getvalue())
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(read, whole) for _ in range(2)]
        results = [future.exception() for future in futures]
    assert [type(error) for error in results if error] == [NotAnImage], "one reads all, the other nothing"


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


def count_descriptors() -> int:
    """The number of files that this process has open, or 0 where that isn't known."""
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_limit_above_the_default_raises_pillows_own(
    photo: Image.Image, encode: Encode, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    source = make_source(encode(photo, form))
    limits = ImageLimits(max_pixels=MAX_PIXELS + 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # an image beyond Pillow's own takes seconds
    with pytest.raises(ImageTooLarge, match=f"opens.*raise max_pixels above {MAX_PIXELS:,}"):
        read_image(source)
    assert read_image(source, limits=limits).original_size == photo.size
    assert limits.max_pixels == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("pillows", [None, 10 * MAX_PIXELS])
def test_a_higher_limit_of_pillow_is_not_changed(
    data: bytes, monkeypatch: pytest.MonkeyPatch, pillows: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    read_image(make_source(data), limits=ImageLimits(max_pixels=MAX_PIXELS + 1))
    assert pillows == Image.MAX_IMAGE_PIXELS
