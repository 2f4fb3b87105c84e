"""Keywords inside image files are read, in the encodings that programs use."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from PIL import Image

from pictag.errors import ImageNotFound, ImageUnreadable, MetadataError
from pictag.metadata.embedded import UTF8, iptc_keywords, read_embedded
from pictag.metadata.keywords import FileKeywords
from sidecars import make_sidecar


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
def test_xmp_is_read_from_every_format(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{ending}"
    image = Image.new("RGB", (16, 16))
    packet = make_sidecar("Rex", "café", entries=["pets|Rex"])
    if ending == "png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        image.save(path, pnginfo=info)
    elif ending == "tif":
        image.save(path, tiffinfo={700: packet})
    else:
        image.save(path, xmp=packet)
    assert read_embedded(path) == FileKeywords(subject=("Rex", "café"), hierarchical=("pets|Rex",))


@pytest.mark.parametrize("is_compressed", [False, True])
def test_xmp_after_the_pixels_of_a_png_is_read(is_compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(path)
    packet = make_sidecar("Rex")
    text = b"\1\0\0\0" + zlib.compress(packet) if is_compressed else b"\0\0\0\0" + packet
    chunk = b"iTXtXML:com.adobe.xmp\0" + text
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    png = path.read_bytes()
    path.write_bytes(png[:-12] + chunk + png[-12:])
    assert read_embedded(path).subject == ("Rex",)


def test_a_truncated_png_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(path)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(MetadataError, match=r"a\.png"):
        read_embedded(path)


def jpeg_with_iptc(path: Path, *fields: tuple[int, int, bytes]) -> None:
    data = b"".join(struct.pack(">BBBH", 0x1C, *field[:2], len(field[2])) + field[2] for field in fields)
    block = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(data)) + data + b"\0" * (len(data) % 2)
    segment = b"Photoshop 3.0\0" + block
    Image.new("RGB", (8, 8)).save(path)
    jpeg = path.read_bytes()
    path.write_bytes(jpeg[:2] + b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:])


def test_iptc_is_read_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    jpeg_with_iptc(path, (1, 90, UTF8), (2, 25, "Größe".encode()), (2, 25, b"sea"), (2, 120, b"text"))
    assert read_embedded(path).subject == ("Größe", "sea")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({(2, 25): "Größe".encode("cp1252")}, ("Größe",)),
        ({(2, 25): ["Größe".encode(), b"", b" sea\0"]}, ("Größe", "sea")),
        ({(2, 25): b"Gr\xf6\xdfe", (1, 90): UTF8}, ("Gr\ufffd\ufffde",)),
        ({}, ()),
    ],
)
def test_iptc_without_a_declared_encoding_is_utf8_or_latin(
    fields: dict[tuple[int, int], bytes | list[bytes]], expected: tuple[str, ...]
) -> None:
    assert iptc_keywords(fields) == expected


def test_a_file_of_another_format_has_no_keywords(tmp_path: Path) -> None:
    path = tmp_path / "a.cr3"
    path.write_bytes(b"\0\0\0\x18ftypcrx ")
    assert read_embedded(path) == FileKeywords()


def test_hostile_xmp_in_an_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (8, 8)).save(path, xmp=b'<!DOCTYPE a [<!ENTITY x SYSTEM "/etc/passwd">]><a>&x;</a>')
    with pytest.raises(MetadataError, match=r"the XMP in .*a\.jpg"):
        read_embedded(path)


def test_a_missing_image_and_a_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound):
        read_embedded(tmp_path / "a.jpg")
    with pytest.raises(ImageUnreadable):
        read_embedded(tmp_path)


@pytest.mark.shared
def test_odd_and_broken_images_give_keywords_or_one_of_our_errors(shared: Path) -> None:
    for path in sorted((shared / "images" / "malformed").iterdir()):
        if path.is_file():
            try:
                read_embedded(path)
            except (MetadataError, ImageUnreadable):
                continue
