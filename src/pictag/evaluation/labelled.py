"""Read images with known labels: one folder per class, or a CSV of ``path,label[;label…]``.

Labels are text, used exactly as written: "007" is not 7, and "nan" is a label.
"""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pictag.errors import ImageNotFound, InvalidData, shorten
from pictag.images import Failed, Source, expand
from pictag.images.sniff import image_extensions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SPLITS = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
_PATH_COLUMNS = ("path", "file", "filename", "file_name", "image", "image_path", "source")
_LABEL_COLUMNS = ("label", "labels", "class", "classes", "category", "tags")
_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledImage:
    """One image and its labels, none or several in multi-label data.

    ``path`` is a path or URL that can be opened; ``name`` is the path below the folder, or as the CSV has it.
    """

    path: str
    name: str
    labels: tuple[str, ...]

    @property
    def source(self) -> Source:
        """What a pipeline's ``stream`` takes; the prediction's ``source`` is ``path``."""
        return Source(name=self.path, kind="url" if _URL.match(self.path) else "file", value=self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledData:
    """Images with known labels.

    ``classes`` are all labels, sorted. ``problems`` are sentences about what was left out, such as an empty
    class.
    """

    place: Path
    split: str | None
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    problems: tuple[str, ...] = ()

    @property
    def class_folders(self) -> Path | None:
        """The folder in which each folder is a class, if the data are folders."""
        return self.place / (self.split or "") if self.place.is_dir() else None

    @property
    def is_multi_label(self) -> bool:
        """Whether an image has several labels, or none."""
        return any(len(image.labels) != 1 for image in self.images)


def read_labelled(place: str | os.PathLike[str], *, split: str | None = None) -> LabelledData:
    """Read the labels of all images; the images themselves aren't opened.

    ``place`` is a folder with one folder per class (whose subfolders belong to the class), a folder with such
    a folder for each split (``train``, ``val``, ``test`` …), or a CSV file. A CSV has a path and labels
    separated by ``;`` in each row; paths are relative to the CSV's folder. With a header row, the columns may
    be in any order, and a column ``split`` is understood. ``split`` chooses one of the splits.

    Raises `InvalidData` for data without clear labels, or with several splits if none is chosen.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "labels.csv").write_text("a.jpg,cat\\nb.jpg,cat;dog\\n")
    ...     data = read_labelled(Path(folder, "labels.csv"))
    >>> data.classes, data.images[1].labels, data.is_multi_label
    (('cat', 'dog'), ('cat', 'dog'), True)
    """
    place = Path(place)
    if place.is_dir():
        data = _read_folder(place, split)
    elif place.is_file():
        data = _read_images(place, split)
    else:
        raise ImageNotFound(
            f"{shorten(place)} doesn't exist. Give a folder with one folder per class, or a CSV file.",
            filename=place,
        )
    if not data.images:
        where = "its class folders" if place.is_dir() else "its rows"
        raise InvalidData(f"{shorten(place)} has no images in {where}.")
    return data


def _read_folder(place: Path, split: str | None) -> LabelledData:
    folders = _list_folders(place)
    splits = _find_splits(folders)
    if splits or split is not None:
        where = place / _choose_split(place, [folder.name for folder in splits], split)
        split, folders = where.name, _list_folders(where)
    else:
        where = place
    if not folders:
        raise InvalidData(
            f"{shorten(where)} has no folders. Put the images of each class into a folder with its name, or "
            "give a CSV of path,label."
        )
    images, problems = [], []
    for folder in folders:
        for entry in expand([folder], recursive=True):
            if isinstance(entry, Failed):
                problems.append(
                    f"The class {shorten(folder.name, 80)!r} has no images."
                    if isinstance(entry.error, ImageNotFound)
                    else str(entry.error)
                )
                continue
            name = os.path.relpath(entry.name, where)
            images.append(LabelledImage(path=entry.name, name=name, labels=(folder.name,)))
    outside = sum(_is_image(path) for path in where.iterdir())
    if outside:
        problems.append(
            f"{outside:,} image{' lies' if outside == 1 else 's lie'} outside the class folders of "
            f"{shorten(where)}, and {'is' if outside == 1 else 'are'} not used."
        )
    return LabelledData(
        place=place,
        split=split,
        classes=tuple(folder.name for folder in folders),
        images=tuple(images),
        problems=tuple(problems),
    )


def _list_folders(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InvalidData(f"Cannot read the folder {shorten(place)}: {error.strerror}.") from error


def _find_splits(folders: Sequence[Path]) -> list[Path]:
    """The folders that are splits, not classes: one named "train" with photographs of trains is a class."""
    named = [folder for folder in folders if folder.name.casefold() in SPLITS]
    if any(_list_folders(folder) for folder in named):
        return named
    if len(named) == len(folders) and len(named) > 1:
        raise InvalidData(
            f"The folders of {shorten(folders[0].parent)} are named {_list(f.name for f in named)}, but have "
            "no class folders inside. Put the images of each class into a folder with its name, or give a "
            "CSV of path,label."
        )
    return []


def _choose_split(place: Path, splits: Sequence[str], asked: str | None) -> str:
    if asked is None and len(splits) == 1:
        return splits[0]
    if asked is not None and asked in splits:
        return asked
    if not splits:
        raise InvalidData(f"{shorten(place)} has no splits, so there is no {shorten(asked)!r} to choose.")
    if asked is None:
        raise InvalidData(
            f"{shorten(place)} has the splits {_list(splits)}. Choose one with split={splits[-1]!r}."
        )
    raise InvalidData(f"{shorten(place)} has no split {shorten(asked)!r}; it has {_list(splits)}.")


def read_csv(path: Path) -> list[list[str]]:
    """The rows of a CSV file, as text. Raises `InvalidData`."""
    try:
        return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""), strict=True))
    except OSError as error:
        raise InvalidData(f"Cannot read {shorten(path)}: {error.strerror}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidData(f"Cannot read {shorten(path)} as CSV: {shorten(error)}.") from error


def _read_images(place: Path, split: str | None) -> LabelledData:
    rows = read_csv(place)
    columns = _find_columns(rows[0]) if rows else None
    path_column, label_column, split_column = columns or (0, 1, None)
    splits: set[str] = set()
    found: list[tuple[str, LabelledImage]] = []
    lines: dict[str, int] = {}
    for number, row in enumerate(rows, start=1):
        if not row or (number == 1 and columns is not None):
            continue
        if len(row) != (len(rows[0]) if columns else 2) or not row[path_column].strip():
            raise InvalidData(
                f"Row {number} of {shorten(place)} is {shorten(','.join(row), 80)!r}, not path,label. "
                "Separate several labels with semicolons, and name the columns in the first row if there are "
                "others."
            )
        name = row[path_column].strip()
        path = name if _URL.match(name) else str(place.parent / name)
        key = path if _URL.match(path) else os.path.abspath(path)  # noqa: PTH100 - resolves no links
        if lines.setdefault(key, number) != number:
            raise InvalidData(
                f"Rows {lines[key]} and {number} of {shorten(place)} name the same image, {shorten(name)}. "
                "Give it one row, with its labels separated with semicolons."
            )
        labels = tuple(dict.fromkeys(filter(None, map(str.strip, row[label_column].split(";")))))
        own = "" if split_column is None else row[split_column].strip()
        splits.add(own)
        found.append((own, LabelledImage(path=path, name=name, labels=labels)))
    if split_column is None and split is not None:
        raise InvalidData(f"{shorten(place)} has no column named split, so there is no split to choose.")
    chosen = None if split_column is None else _choose_split(place, sorted(splits), split)
    images = tuple(image for own, image in found if chosen in (None, own))
    classes = sorted({label for image in images for label in image.labels})
    return LabelledData(place=place, split=chosen, classes=tuple(classes), images=images)


def _find_columns(header: Sequence[str]) -> tuple[int, int, int | None] | None:
    """The places of path, label and split, if this row is a header."""
    names = [cell.strip().casefold() for cell in header]
    paths = [names.index(name) for name in _PATH_COLUMNS if name in names]
    labels = [names.index(name) for name in _LABEL_COLUMNS if name in names]
    if not paths or not labels:
        return None
    return paths[0], labels[0], names.index("split") if "split" in names else None


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in image_extensions() and not path.name.startswith(".") and path.is_file()


def _list(names: Sequence[str] | Iterator[str]) -> str:
    return ", ".join(shorten(name, 40) or "(empty)" for name in names)
