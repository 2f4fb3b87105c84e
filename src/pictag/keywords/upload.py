"""An agency's upload file: collect photographs, check them, write the rows."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pictag.errors import ImageNotFound, OptionError, PictagError, shorten
from pictag.keywords.presets import Shot, check_shot, merge_shots, write_csv
from pictag.replacement import find_file, replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pictag.keywords.presets import Preset
    from pictag.keywords.suggest import KeywordSuggestions
    from pictag.metadata import Caption

TitleSource = Literal["filename", "folder", "keywords"]
_NOT_REPLACED = "so an upload file can't be written to it"
_CAMERA_SEPARATORS = str.maketrans("_-", "  ")


class UploadFile:
    """Collects photographs for an agency's upload file, which is written when it is closed.

    Without a ``path``, the photographs are only checked. If there are more rows than the agency takes, the
    rest is in further files: ``a-2.csv`` beside ``a.csv``. Those that exist are replaced with ``overwrite``;
    otherwise the next free numbers are used. ``warn`` is called with what the agency would refuse in a
    photograph, and with the names of further files. Nothing is written with ``dry_run``.
    """

    def __init__(
        self,
        path: Path | None,
        preset: Preset,
        *,
        warn: Callable[[str], None],
        title_from: TitleSource | None = None,
        overwrite: bool = False,
        dry_run: bool = False,
    ) -> None:
        if path is not None:
            if not preset.columns:
                raise OptionError(f"{preset.title}: no upload file is needed. Use --embed.")
            find_file(path, reason=_NOT_REPLACED)
        self._path = path
        self._preset = preset
        self._warn = warn
        self._title_from = title_from
        self._overwrite = overwrite
        self._dry_run = dry_run
        self._shots: list[Shot] = []
        self._is_closed = False

    def add(self, suggestions: KeywordSuggestions) -> None:
        """Add a photograph; one that failed is left out."""
        if suggestions.error is not None:
            return
        people_keywords, caption = self._read_people(suggestions.source)
        shot = Shot(
            source=suggestions.source,
            keywords=suggestions.keywords,
            title=caption.title,
            description=caption.description,
            categories=caption.categories,
            people_keywords=people_keywords,
            made_title=make_title(suggestions, self._title_from),
        )
        self._shots.append(shot)

    def close(self) -> None:
        """Write the file; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        rows = merge_shots(self._shots)
        for shot in rows:
            if problems := check_shot(shot, self._preset):
                self._warn(f"{shorten(shot.source)}: {'; '.join(problems)}.")
        if self._path is not None:
            self._write(rows, self._path)

    def _write(self, rows: Sequence[Shot], path: Path) -> None:
        most = self._preset.max_rows or max(len(rows), 1)
        paths = self._name_files(path)
        names = []
        for start in range(0, max(len(rows), 1), most):
            names.append(name := next(paths))
            if not self._dry_run:
                text = write_csv(rows[start : start + most], self._preset)
                with replace_file(name) as stream:
                    stream.write(text.encode("utf-8", "backslashreplace"))
        if len(names) > 1:
            self._warn(
                f"{len(rows):,} rows, but {self._preset.title} takes {most:,} in a file: the rest is in "
                f"{', '.join(map(shorten, names[1:]))}."
            )

    def _name_files(self, path: Path) -> Iterator[Path]:
        """The paths of the upload file and of further ones."""
        yield path
        for number in itertools.count(2):
            further = path.with_stem(f"{path.stem}-{number}")
            if self._overwrite or not further.exists():
                yield further

    def _read_people(self, source: str) -> tuple[tuple[str, ...], Caption]:
        """The keywords and the caption that people gave a photograph, in its sidecars and inside it."""
        from pictag.metadata import Caption, read_caption, read_keywords

        try:
            return read_keywords(source).people, read_caption(source)
        except ImageNotFound:  # not a file
            pass
        except PictagError as error:
            self._warn(f"The keywords and title of {shorten(source)} are left out: {error}")
        return (), Caption()


def make_title(suggestions: KeywordSuggestions, title_from: TitleSource | None) -> str:
    """A title from the file's name, its folder's name, or its first keywords; empty without ``title_from``.

    >>> from pictag.keywords import KeywordSuggestions
    >>> make_title(KeywordSuggestions(source="trip/old_harbour-2.jpg"), "filename")
    'old harbour 2'
    """
    path = Path(suggestions.source)
    if title_from == "keywords":
        return " ".join(k.keyword for k in suggestions.keywords[:3])
    name = {"filename": path.stem, "folder": path.resolve().parent.name}.get(title_from or "", "")
    return " ".join(name.translate(_CAMERA_SEPARATORS).replace(",", " ").split())
