"""Keywords inside image files, written by the external program ExifTool.

ExifTool works on a copy, under a name of ours, in a folder beside the image: it never sees names that look
like options, or whose extension is wrong. The image is replaced only after the copy was read back.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pictag.errors import ImageNotFound, ImageUnreadable, MetadataError, MissingProgram, OutputError, shorten
from pictag.metadata.embedded import UTF8, IptcFields, iptc_keywords, read_blocks, read_embedded
from pictag.metadata.keywords import (
    IPTC_BYTES,
    FileKeywords,
    Keyword,
    missing_words,
    without,
)
from pictag.metadata.locking import locked_folder, temporary_path
from pictag.metadata.packet import (
    IPTC,
    TOOLKIT,
    Packet,
    merge_into_packet,
    new_packet,
    parse_packet,
    remove_from_packet,
)
from pictag.metadata.xmp import OWNER, WrittenKeywords, added_words, check_owner
from pictag.replacement import keep_access

_TIMEOUT_S = 120
_WITH_IPTC = frozenset(["JPEG", "TIFF"])
# The versions of IPTC's records and its encoding: they are left when the last keyword is gone.
_IPTC_BOOKKEEPING = frozenset([(1, 0), (1, 90), (2, 0), (2, 25)])
_INSTALL = (
    "Writing keywords into images needs ExifTool: apt install libimage-exiftool-perl (Debian, Ubuntu), "
    "brew install exiftool (macOS), or https://exiftool.org. Sidecars don't need it."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Embedded:
    """The metadata of one image file; ``packet`` is None if it has no XMP."""

    file_type: str
    extension: str
    packet: Packet | None
    iptc: IptcFields
    has_digest: bool

    @property
    def iptc_words(self) -> tuple[str, ...]:
        return iptc_keywords(self.iptc)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the file should have: ``iptc`` is the whole list."""

    packet: Packet | None
    iptc: tuple[str, ...]


def embed_keywords(
    image: str | Path,
    keywords: Sequence[Keyword],
    *,
    owner: str = OWNER,
    backup: bool = True,
    program: str = "exiftool",
) -> WrittenKeywords:
    """Write keywords into an image file, in place of those of an earlier run of this owner.

    XMP is written, and IPTC in JPEG and TIFF files, except for words of more than 64 bytes. The file's date
    stays. With ``backup`` the original stays as ``a.jpg_original``, unless there is one already. Raises
    `MissingProgram` without ExifTool, else `MetadataError`, `ImageNotFound`, `ImageUnreadable` or
    `OutputError`; the image is unchanged then.
    """
    check_owner(owner)

    def edit(old: _Embedded, name: str) -> _Wanted:
        if not keywords:
            return _stripped(old, owner)
        before = old.packet or new_packet(name=name)
        base = without(old.iptc_words, _recorded(old, owner))
        has_keywords = bool(remove_from_packet(before, owner=owner).subject)
        copied = None if has_keywords else FileKeywords(subject=tuple(base))
        packet = merge_into_packet(before, keywords, owner=owner, copied=copied)
        added: tuple[str, ...] = ()
        if old.file_type in _WITH_IPTC:
            added = missing_words(filter(_fits_iptc, packet.subject), base)
            packet = merge_into_packet(before, keywords, owner=owner, copied=copied, iptc=added)
        return _Wanted(packet=packet, iptc=(*base, *added))

    return _edit(Path(image), edit, owner=owner, keywords=keywords, backup=backup, program=program)


def remove_embedded(
    image: str | Path, *, owner: str | None = None, backup: bool = True, program: str = "exiftool"
) -> WrittenKeywords:
    """Remove what pictag wrote into an image, for an owner or for all. Raises as `embed_keywords` does."""
    if owner is not None:
        check_owner(owner)

    def edit(old: _Embedded, name: str) -> _Wanted:
        return _stripped(old, owner)

    return _edit(Path(image), edit, backup=backup, program=program)


def _stripped(old: _Embedded, owner: str | None) -> _Wanted:
    packet = old.packet and remove_from_packet(old.packet, owner=owner)
    if packet is not None and packet.toolkit == TOOLKIT and packet.is_empty:
        packet = None
    return _Wanted(packet=packet, iptc=tuple(without(old.iptc_words, _recorded(old, owner))))


def _recorded(old: _Embedded, owner: str | None) -> list[str]:
    """The IPTC keywords that belong to the owner, and to no other one."""
    if old.packet is None:
        return []
    others = [] if owner is None else [name for name in old.packet.records if name != owner]
    return without(
        old.packet.recorded(IPTC, None if owner is None else [owner]), old.packet.recorded(IPTC, others)
    )


def _fits_iptc(word: str) -> bool:
    return len(word.encode()) <= IPTC_BYTES


def _edit(
    image: Path,
    edit: Callable[[_Embedded, str], _Wanted],
    *,
    backup: bool,
    program: str,
    owner: str = OWNER,
    keywords: Sequence[Keyword] = (),
) -> WrittenKeywords:
    exiftool = shutil.which(program)
    if exiftool is None:
        raise MissingProgram(_INSTALL)
    if not image.is_file():
        raise ImageNotFound(f"{shorten(image)} doesn't exist or is not a file.")
    image = image.resolve()
    read_embedded(image)  # refuses hostile XMP before ExifTool reads it, which can take minutes
    with locked_folder(image.parent), _working_copy(image) as copy:
        before = image.stat()
        old = _read(exiftool, copy, name=str(image))
        wanted = edit(old, str(image))
        is_changed = (old.packet and old.packet.data) != (wanted.packet and wanted.packet.data)
        is_changed = is_changed or old.iptc_words != wanted.iptc
        if is_changed:
            named = copy.rename(copy.with_suffix(f".{old.extension}"))
            _write(exiftool, named, old, wanted, name=str(image))
            _check(_read(exiftool, named, name=str(image)), wanted, name=str(image))
            _replace(image, named, before, backup=backup)
        added = added_words(wanted.packet, owner, keywords)
    too_long = tuple(word for word in added if not _fits_iptc(word)) if old.file_type in _WITH_IPTC else ()
    return WrittenKeywords(path=image, added=added, is_changed=is_changed, not_in_iptc=too_long)


@contextmanager
def _working_copy(image: Path) -> Iterator[Path]:
    """A copy of the image in a folder beside it, which is deleted at the end."""
    folder = temporary_path(image)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    try:
        folder.mkdir()
        yield Path(shutil.copyfile(image, folder / "image"))
    except (MetadataError, ImageUnreadable, OutputError):
        raise
    except OSError as error:
        raise OutputError(f"Cannot write {shorten(image)}: {error.strerror}. It is unchanged.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _read(exiftool: str, copy: Path, *, name: str) -> _Embedded:
    fields = ["-XMP", "-FileType", "-FileTypeExtension", "-IPTCDigest", "-HasExtendedXMP"]
    output = _run(exiftool, ["-j", "-b", *fields, copy.name], copy.parent, name=name)
    found = json.loads(output)[0]
    if "FileType" not in found:
        raise MetadataError(f"{shorten(name)} is not an image that ExifTool knows.")
    if "HasExtendedXMP" in found:
        raise MetadataError(
            f"{shorten(name)} has extended XMP (more than 64 kB), which pictag doesn't change. Use a sidecar."
        )
    xmp = found.get("XMP", "")
    data = base64.b64decode(xmp[7:]) if xmp.startswith("base64:") else xmp.encode()
    data = data.strip(b"\0 \r\n\t")
    return _Embedded(
        file_type=found["FileType"],
        extension=found["FileTypeExtension"].lower(),
        packet=parse_packet(data, name=f"the XMP in {name}") if data else None,
        iptc=read_blocks(copy, name=name).iptc if found["FileType"] in _WITH_IPTC else {},
        has_digest="IPTCDigest" in found,
    )


def _write(exiftool: str, copy: Path, old: _Embedded, wanted: _Wanted, *, name: str) -> None:
    arguments = ["-overwrite_original"]
    if wanted.packet is None:
        arguments += ["-XMP:all="] if old.packet else []
    else:
        copy.with_name("packet").write_bytes(wanted.packet.data)
        arguments += ["-XMP<=packet"]
    if wanted.iptc != old.iptc_words:
        if not wanted.iptc and _IPTC_BOOKKEEPING.issuperset(old.iptc):
            arguments += ["-IPTC:all="]
        else:
            if old.iptc and old.iptc.get((1, 90)) != UTF8:  # the other fields are converted too
                arguments += ["-tagsFromFile", "@", "-IPTC:all", "--IPTC:Keywords"]
            arguments += ["-IPTC:CodedCharacterSet=UTF8", "-IPTC:Keywords="]
            arguments += [f"-IPTC:Keywords={word}" for word in wanted.iptc]
        arguments += ["-IPTCDigest=new"] if old.has_digest else []
    _run(exiftool, [*arguments, copy.name], copy.parent, name=name)


def _check(new: _Embedded, wanted: _Wanted, *, name: str) -> None:
    """Compare what was read back with what was to be written."""
    lists = None if new.packet is None else (new.packet.keywords(), new.packet.records)
    expected = None if wanted.packet is None else (wanted.packet.keywords(), wanted.packet.records)
    if lists != expected or new.iptc_words != wanted.iptc:
        raise MetadataError(
            f"{shorten(name)} is unchanged, because ExifTool wrote other keywords than it was given. "
            "Use a sidecar."
        )


def _replace(image: Path, copy: Path, before: os.stat_result, *, backup: bool) -> None:
    now = image.stat()
    if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
        raise OutputError(f"Another program has changed {shorten(image)}. Try again.")
    if not os.access(image, os.W_OK):
        raise PermissionError(13, "The file is read-only")
    keep_access(copy, before)
    shutil.copystat(image, copy)
    with copy.open("rb") as stream:
        os.fsync(stream.fileno())
    original = image.with_name(image.name + "_original")
    if backup and not original.exists():
        try:
            original.hardlink_to(image)
        except OSError:  # a file system without links, as on memory cards
            shutil.copy2(image, original)
    copy.replace(image)


def _run(exiftool: str, arguments: Sequence[str], folder: Path, *, name: str) -> str:
    """Run ExifTool without the user's configuration.

    Its arguments don't go through an argument file, in which a keyword with a line break would be an option.
    """
    try:
        done = subprocess.run(
            [exiftool, "-config", "", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=folder,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MetadataError(f"{shorten(name)}: ExifTool ran for more than {_TIMEOUT_S} s.") from error
    except OSError as error:
        raise MissingProgram(f"Cannot start {shorten(exiftool)}: {error.strerror}. {_INSTALL}") from error
    if done.returncode:
        said = shorten(done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}")
        raise MetadataError(f"{shorten(name)} is unchanged, because ExifTool failed: {said}")
    return done.stdout.decode(errors="replace")
