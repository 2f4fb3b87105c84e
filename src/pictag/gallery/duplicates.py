"""Duplicates in a library: files with the same pixels, and images that are nearly the same.

Nothing is deleted. Each group says why it is one, which file to keep, and what decided that: the most pixels,
then a lossless file, then the largest file, the oldest, the shortest name, and at last the first path.
"""

# Names stay exactly as the system has them.
# ruff: noqa: PTH100

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from pictag.errors import OptionError
from pictag.gallery.copies import Copy, describe_copies, explain_choice, read_folder, read_images
from pictag.gallery.decisions import find_content, write_now
from pictag.gallery.folders import list_folders
from pictag.gallery.schema import write
from pictag.gallery.similar import read_blocks
from pictag.similarity import (
    MAX_DIFFERENT_BITS,
    are_distinctive,
    count_different_bits,
    find_cosine_cut,
    group_near,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from pictag.gallery.copies import StoredImage

Kind = Literal["same", "near"]
_SAME: Final = bytes(32)  # in `dismissed`, beside pixels: several files with them aren't duplicates


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateGroup:
    """Files that show the same image: ``files`` are paths, ``keep`` is the suggested one and the first.

    ``kind`` is ``"same"`` for equal pixels, and ``"near"`` for another size, quality, tone, crop, or the
    mirror image. Of files with the same pixels, a near group has only the one to keep.
    """

    kind: Kind
    reason: str
    keep: bytes
    files: tuple[bytes, ...]


def find_duplicates(
    connection: sqlite3.Connection,
    folders: Iterable[str | os.PathLike[str]] = (),
    *,
    only_present: bool = True,
) -> list[DuplicateGroup]:
    """The groups of duplicates: those with the same pixels first, then near ones, in the order of paths.

    ``folders`` limits them to files below these folders. Groups that were dismissed are left out. Near are
    images whose hashes differ in at most 6 bits or whose embeddings have a high cosine, see
    `pictag.similarity`. 100,000 images take a minute.

    Files that aren't there now, such as those on a disk that isn't connected, and files that have changed
    since they were indexed are left out, with a warning: a suggestion to keep one of them could cost the last
    copy. ``only_present=False`` reports the library as it is.

    Raises `OptionError` for a folder that the library doesn't have.
    """
    images = read_images(
        connection,
        [read_folder(connection, folder) for folder in list_folders(folders)],
        only_present=only_present,
    )
    dismissed = set(connection.execute("SELECT first, second FROM dismissed").fetchall())
    same = [
        _make_group("same", describe_copies(image.copies), image.copies)
        for image in images.values()
        if len(image.copies) > 1 and (_SAME, image.pixels) not in dismissed
    ]
    return [*_sort(same), *_sort(_find_near(connection, images, dismissed))]


def dismiss(connection: sqlite3.Connection, files: Sequence[str | os.PathLike[str]]) -> int:
    """Record that these files aren't duplicates of each other; returns the number of pairs of images.

    It is stored for their pixels, so it applies to copies of the files and after indexing again. Files
    with the same pixels are no longer reported as the same.

    Raises `OptionError` for fewer than two files and for files that the library doesn't have.
    """
    if len({os.path.abspath(os.fsencode(os.fspath(file))) for file in files}) < 2:
        raise OptionError("Name at least two files that are not duplicates of each other.")
    with write(connection):
        found = sorted(find_content(connection, file)[1] for file in files)
        pairs = set(itertools.combinations(found, 2))
        rows = {(_SAME if first == second else first, second) for first, second in pairs}
        connection.executemany(
            "INSERT OR IGNORE INTO dismissed (first, second, decided_at) VALUES (?, ?, ?)",
            [(*row, write_now()) for row in sorted(rows)],
        )
    return len(rows)


def _find_near(
    connection: sqlite3.Connection, images: dict[int, StoredImage], dismissed: set[tuple[bytes, bytes]]
) -> list[DuplicateGroup]:
    # The one to keep comes first, so that of equally connected images it is the one that others are near to.
    ids = sorted(images, key=lambda content_id: images[content_id].copies[0].rank())
    places = {content_id: place for place, content_id in enumerate(ids)}
    by_pixels = {images[content_id].pixels: place for content_id, place in places.items()}
    row = connection.execute("SELECT id, name, sha256 FROM models WHERE is_current").fetchone()
    model_id, *names = row or (None, None)
    vectors = _read_vectors(connection, model_id, places)
    cut = find_cosine_cut(*names).cosine
    hashes = [images[content_id].hash for content_id in ids]
    if vectors is not None:  # embeddings of images without structure are all alike
        vectors[[place for place, value in enumerate(hashes) if value is None]] = 0
    mirrored = [images[content_id].mirrored_hash for content_id in ids]
    groups = group_near(
        hashes,
        mirrored,
        vectors,
        cut=cut,
        apart=[
            (by_pixels[first], by_pixels[second])
            for first, second in dismissed
            if first in by_pixels and second in by_pixels
        ],
    )
    found = []
    for first, *others in groups:
        reason = _describe(hashes, mirrored, vectors, first, others)
        copies = [images[ids[place]].copies[0] for place in (first, *others)]
        found.append(_make_group("near", reason, sorted(copies, key=Copy.rank)))
    return found


def _describe(
    hashes: Sequence[int | None],
    mirrored: Sequence[int | None],
    vectors: NDArray[np.float16] | None,
    first: int,
    others: list[int],
) -> str:
    """The reasons why images are near to the first one of their group."""
    by_hash, by_mirror, by_cosine = [], [], []
    for other in others:
        bits, mirrored_bits = (
            _count_bits(value, hashes[other]) for value in (hashes[first], mirrored[first])
        )
        if bits <= MAX_DIFFERENT_BITS:
            by_hash.append(bits)
        elif mirrored_bits <= MAX_DIFFERENT_BITS:
            by_mirror.append(mirrored_bits)
        elif vectors is not None:
            by_cosine.append(
                min(float(vectors[first].astype(np.float32) @ vectors[other].astype(np.float32)), 1)
            )
    facts = []
    if by_hash:
        facts.append(f"{len(by_hash)} by hash (at most {max(by_hash)} of 64 bits differ)")
    if by_mirror:
        facts.append(f"{len(by_mirror)} mirrored")
    if by_cosine:
        facts.append(f"{len(by_cosine)} by content (cosine at least {min(by_cosine):.2f})")
    return f"nearly the same: {', '.join(facts)}"


def _count_bits(one: int | None, other: int | None) -> int:
    """The different bits of two hashes that prove something, otherwise 64."""
    if one is None or other is None or not are_distinctive(np.array([one, other], np.uint64)).all():
        return 64
    return count_different_bits(one, other)


def _make_group(kind: Kind, reason: str, copies: list[Copy]) -> DuplicateGroup:
    """The group of files that are sorted already."""
    return DuplicateGroup(
        kind=kind,
        reason=f"{reason}; keep the first: {explain_choice(copies)}",
        keep=copies[0].path,
        files=tuple(copy.path for copy in copies),
    )


def _sort(groups: list[DuplicateGroup]) -> list[DuplicateGroup]:
    return sorted(groups, key=lambda group: group.keep)


def _read_vectors(
    connection: sqlite3.Connection, model_id: int | None, places: dict[int, int]
) -> NDArray[np.float16] | None:
    """The embeddings of these contents at their places, with zeros where one has none of this model."""
    found: NDArray[np.float16] | None = None
    if model_id is not None:
        for ids, rows in read_blocks(connection, model_id):
            if found is None:
                found = np.zeros((len(places), rows.shape[1]), np.float16)
            for content_id, row in zip(ids.tolist(), rows, strict=True):
                if content_id in places:
                    found[places[content_id]] = row
    return found
