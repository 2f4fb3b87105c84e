"""People's decisions in a library of the gallery as labelled images, for ``pictag teach --from-library``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import InvalidData, shorten

if TYPE_CHECKING:
    from pictag.evaluation import LabelledData


def read_library_labels(library: Path) -> LabelledData:
    """The images about which a person has decided, with the words that were confirmed or added.

    An image whose words were only rejected has no label. Raises `InvalidData` if there are no decisions, and
    an error of the ``LibraryError`` branch.
    """
    from pictag.evaluation import LabelledData, LabelledImage
    from pictag.gallery import Gallery
    from pictag.gallery.decisions import list_decisions

    with Gallery.open(library) as gallery:
        decisions = list(list_decisions(gallery.connection))
    words: dict[str, str] = {}
    labels: dict[bytes, list[str]] = {}
    paths: dict[bytes, bytes | None] = {}
    for decision in decisions:
        paths[decision.pixels] = decision.path
        own = labels.setdefault(decision.pixels, [])
        if decision.verdict != "rejected":
            own.append(words.setdefault(decision.meaning, decision.word))
    if not labels:
        raise InvalidData(
            f"{shorten(library)} has no decisions to learn from. Confirm, reject or add labels first, for "
            "example with: pictag gallery confirm PHOTO WORD"
        )
    known = sorted((os.fsdecode(path), pixels) for pixels, path in paths.items() if path is not None)
    images = tuple(
        LabelledImage(path=path, name="/".join(Path(path).parts[-2:]), labels=tuple(labels[pixels]))
        for path, pixels in known
    )
    lost = len(paths) - len(known)
    problems = (f"{lost:,} images with decisions are in no folder of the library.",) if lost else ()
    return LabelledData(
        place=library,
        split=None,
        classes=tuple(sorted({label for image in images for label in image.labels})),
        images=images,
        problems=problems,
    )
