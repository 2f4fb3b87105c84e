"""The training data: images with labels, from a folder or CSV, plus images with none of these labels."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import InvalidData, OptionError, OutputError, list_some, shorten
from pictag.evaluation import LabelledImage, read_labelled
from pictag.images import Failed, expand
from pictag.models.output_folder import check_output
from pictag.options import check_folder
from pictag.teaching.examples import read_examples

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pictag.evaluation import LabelledData
    from pictag.teaching.examples import Example

NONE_LABEL = "none of these"
"""The label of images from the folder of others."""
MIN_IMAGES = 5
"""The lowest number of images of a label."""
MADE_BY = "teaching"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """The images to read, those that the model to update has already, and the folder to write.

    ``problems`` are sentences about what was left out.
    """

    images: tuple[LabelledImage, ...]
    known: tuple[Example, ...]
    output: Path
    problems: tuple[str, ...] = ()


def plan_lesson(
    data: str | os.PathLike[str] | LabelledData,
    output: str | os.PathLike[str],
    *,
    other: str | os.PathLike[str] | None = None,
    update: str | os.PathLike[str] | None = None,
    split: str | None = None,
    overwrite: bool = False,
) -> Lesson:
    """Read the labels, and check everything that can be checked before images are opened.

    Raises `InvalidData`, `OutputError`, and for ``update`` an error of the ``ModelError`` branch.
    """
    place = check_folder("output", output)
    old = None if update is None else check_folder("update", update)
    if isinstance(data, (str, os.PathLike)):
        data = read_labelled(data, split=split)
    sources = [data.place, *([] if other is None else [check_folder("other", other)])]
    if old is not None and old.resolve() != place.resolve():
        sources.append(old)
    check_output(place, made_by=MADE_BY, overwrite=overwrite, sources=tuple(sources))
    classes = data.class_folders
    if classes is not None and classes.resolve() in place.resolve().parents:
        raise OutputError(
            f"{shorten(place)} is in {shorten(classes)}, where it would be taken for a class. Choose another "
            "folder."
        )
    images = data.images + (() if other is None else _read_other(Path(other)))
    known = () if old is None else tuple(read_examples(old))
    check_labels([image.labels for image in images] + [example.labels for example in known])
    return Lesson(images=images, known=known, output=place, problems=data.problems)


def is_multi_label(labels: Iterable[Sequence[str]]) -> bool:
    """Whether an image has several labels, or none."""
    return any(len(own) != 1 for own in labels)


def list_labels(labels: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """All labels, sorted. In multi-label data, an image of none of these has no label.

    >>> list_labels([("dog",), ("cat",), (NONE_LABEL,)])
    ('cat', 'dog', 'none of these')
    >>> list_labels([("dog", "cat"), (NONE_LABEL,)])
    ('cat', 'dog')
    """
    found = {label for own in labels for label in own}
    return tuple(sorted(found - {NONE_LABEL} if is_multi_label(labels) else found))


def check_labels(labels: Sequence[Sequence[str]]) -> None:
    """Raise `InvalidData` if there are too few labels, or too few images of one."""
    names = list_labels(labels)
    if not names:
        raise InvalidData("There are no labelled images that can be read.")
    if not is_multi_label(labels) and len(names) < 2:
        raise InvalidData(
            f"There is only one label, {shorten(repr(names[0]))}. A model needs images of at least two, or a "
            "folder of other images (--other)."
        )
    counts = {name: sum(name in own for own in labels) for name in names}
    for name in names:
        if not is_text(name):
            raise InvalidData(
                f"The label {shorten(repr(name), 60)} isn't text in UTF-8, so no model can have it. Rename "
                "its folder."
            )
    few = [f"{shorten(name, 40)} ({n})" for name, n in counts.items() if n < MIN_IMAGES]
    if few:
        raise InvalidData(
            f"Each label needs at least {MIN_IMAGES} different images that can be read. Fewer have: "
            f"{list_some(few)}. Add images, or leave these labels out."
        )
    everywhere = [name for name, n in counts.items() if len(labels) - n < MIN_IMAGES]
    if everywhere:
        raise InvalidData(
            f"At least {MIN_IMAGES} images must be without the label {shorten(repr(everywhere[0]))}. Add "
            "other images, for example with --other."
        )


def is_text(name: str) -> bool:
    """Whether a label can be written as UTF-8; a folder's name may have other bytes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_other(folder: Path) -> tuple[LabelledImage, ...]:
    images = []
    for entry in expand([folder], recursive=True):
        if isinstance(entry, Failed):
            raise OptionError(f"The folder of other images can't be used: {entry.error}") from entry.error
        name = f"{folder.resolve().name}/{os.path.relpath(entry.name, folder)}"
        images.append(LabelledImage(path=entry.name, name=name, labels=(NONE_LABEL,)))
    return tuple(images)
