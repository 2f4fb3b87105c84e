"""One XMP sidecar: read its keywords, merge pictag's into it, remove them again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pictag.errors import ImageNotFound, OptionError, OutputError, shorten
from pictag.metadata.embedded import read_embedded
from pictag.metadata.keywords import FileKeywords, Keyword, meaning
from pictag.metadata.locking import is_unchanged, locked_folder, read_file, replace_file
from pictag.metadata.packet import (
    SUBJECT,
    TOOLKIT,
    Packet,
    merge_into_packet,
    new_packet,
    parse_packet,
    remove_from_packet,
)
from pictag.metadata.xml_elements import MAX_BYTES
from pictag.replacement import find_file

OWNER = "keywords"
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenKeywords:
    """What was done to one file.

    ``path`` is the file, ``added`` has the keywords that pictag added, without those that people had written.
    ``is_changed`` is False if the file already was as it should be. ``not_in_iptc`` has the words that are
    too long for IPTC.
    """

    path: Path
    added: tuple[str, ...] = ()
    is_changed: bool = True
    not_in_iptc: tuple[str, ...] = ()


def read_packet(path: Path) -> Packet | None:
    """A sidecar's packet; None if the file doesn't exist. Raises `MetadataError` or `ImageUnreadable`."""
    read = read_file(path, max_bytes=MAX_BYTES)
    return None if read is None else parse_packet(read.data, name=str(path))


def read(path: Path) -> FileKeywords:
    """The keywords of a sidecar. Raises `MetadataError`, `ImageNotFound` or `ImageUnreadable`."""
    packet = read_packet(path)
    if packet is None:
        raise ImageNotFound(f"{shorten(path)} doesn't exist.")
    return packet.keywords()


def merge(
    path: Path,
    keywords: Sequence[Keyword],
    *,
    owner: str = OWNER,
    image: Path | None = None,
    extension: str | None = None,
) -> WrittenKeywords:
    """Put an owner's keywords into a sidecar, in place of those of an earlier run.

    A sidecar that doesn't exist is created, for the ``extension`` if one is given. The embedded keywords of
    ``image`` are copied into it, because many programs read only the sidecar where there is one. Without
    keywords, those of the earlier run are removed. Raises `MetadataError`, `ImageUnreadable` or
    `OutputError`; the file is unchanged then.
    """
    check_owner(owner)

    def edit(packet: Packet | None) -> Packet | None:
        if packet is None and not keywords:
            return None
        is_ours = packet is None or packet.toolkit == TOOLKIT
        copied = read_embedded(image) if is_ours and keywords and image is not None else None
        old = new_packet(name=str(path), extension=extension) if packet is None else packet
        return _unless_empty(merge_into_packet(old, keywords, owner=owner, copied=copied))

    return _edit(path, edit, owner=owner, keywords=keywords)


def remove(path: Path, *, owner: str | None = None) -> WrittenKeywords:
    """Remove from a sidecar what pictag has added for an owner, or for all owners.

    A sidecar that pictag created and that has nothing else in it is deleted. Raises as `merge` does.
    """
    if owner is not None:
        check_owner(owner)

    def edit(packet: Packet | None) -> Packet | None:
        return None if packet is None else _unless_empty(remove_from_packet(packet, owner=owner))

    return _edit(path, edit)


def check_owner(owner: str) -> None:
    """Raise `OptionError` unless the owner is a lower-case word."""
    if not re.fullmatch(r"[a-z]{1,32}", owner):
        raise OptionError(f"owner is {shorten(owner)!r}; use a word of the letters a to z.")


def _unless_empty(packet: Packet) -> Packet | None:
    return None if packet.toolkit == TOOLKIT and packet.is_empty else packet


def _edit(
    path: Path,
    edit: Callable[[Packet | None], Packet | None],
    *,
    owner: str = OWNER,
    keywords: Sequence[Keyword] = (),
) -> WrittenKeywords:
    """Apply a function from the old packet to the new one; None is a file that doesn't exist."""
    if path.is_symlink():  # it stays a link
        path = find_file(path, reason="so it can't be replaced")
    for _ in range(_ATTEMPTS):
        with locked_folder(path.parent):
            file = read_file(path, max_bytes=MAX_BYTES)
            old = None if file is None else parse_packet(file.data, name=str(path))
            new = edit(old)
            is_changed = (old and old.data) != (new and new.data)
            if not is_unchanged(path, file):  # by a program that doesn't take the lock
                continue
            if new is None:
                _delete(path)
            elif is_changed:
                replace_file(path, new.data)
            return WrittenKeywords(path=path, added=added_words(new, owner, keywords), is_changed=is_changed)
    raise OutputError(f"Another program keeps changing {shorten(path)}. Try again later.")


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot delete {shorten(path)}: {error.strerror}.") from error


def added_words(packet: Packet | None, owner: str, keywords: Sequence[Keyword]) -> tuple[str, ...]:
    """The words of these keywords that pictag added to the flat list, without those copied from elsewhere."""
    if packet is None:
        return ()
    words = {meaning(keyword.word) for keyword in keywords}
    return tuple(word for word in packet.recorded(SUBJECT, [owner]) if meaning(word) in words)
