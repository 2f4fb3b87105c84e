"""What agencies expect of an upload file. ``presets.json`` has the rules, each with its source and date.

A preset warns about what an agency would refuse; it never makes up keywords, titles or descriptions.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pictag.errors import OptionError, shorten, suggest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pictag.keywords.suggest import Suggestion

GENERIC = "generic"
# Of several files of one shot, the one that agencies take.
_PREFERRED = (".jpg", ".jpeg", ".tif", ".tiff", ".png")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The rules of one agency, found at ``source`` on ``date``; ``note`` says what is not confirmed.

    ``columns`` are pairs of a header and what is below it: ``filename``, ``title``, ``description``,
    ``keywords``, ``category``, ``no``, or nothing. Without columns the agency reads the keywords inside the
    files. ``keywords`` are the fewest and the most, ``categories`` gives the category of a concept.
    ``max_title`` applies to the description if there is no title.
    """

    name: str
    title: str = ""
    source: str = ""
    date: str = ""
    note: str = ""
    columns: tuple[tuple[str, str], ...] = ()
    max_rows: int | None = None
    max_filename: int | None = None
    max_title: int | None = None
    commas_in_title: bool = True
    keywords: tuple[int, int | None] = (0, None)
    recommended: tuple[int, int] | None = None
    categories: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One photograph for an upload file.

    ``title``, ``description``, ``categories`` and ``people_keywords`` are what people wrote. ``made_title``
    is used if they wrote no title.
    """

    source: str
    keywords: tuple[Suggestion, ...]
    title: str = ""
    description: str = ""
    categories: tuple[str, ...] = ()
    people_keywords: tuple[str, ...] = ()
    made_title: str = ""

    @property
    def filename(self) -> str:
        """The name without folders."""
        return PurePath(self.source).name

    def list_keywords(self, limit: int | None = None) -> list[str]:
        """People's keywords, then the suggested ones, each once."""
        words = (*self.people_keywords, *(k.keyword for k in self.keywords))
        return list({word.casefold(): word for word in reversed(words)}.values())[::-1][:limit]


@cache
def read_presets() -> dict[str, Preset]:
    """The presets by name.

    >>> sorted(read_presets())
    ['adobe-stock', 'alamy', 'generic', 'getty', 'pond5', 'shutterstock']
    """
    content: dict[str, Any] = json.loads(Path(__file__).with_name("presets.json").read_text(encoding="utf-8"))
    columns = tuple((name, name) for name in ("filename", "title", "description", "keywords"))
    presets = {GENERIC: Preset(name=GENERIC, title="Any program", columns=columns)}
    for name, rules in content.items():
        pairs = {key: tuple(rules[key]) for key in ("keywords", "recommended") if key in rules}
        columns = tuple((header, what) for header, what in rules["columns"])
        presets[name] = Preset(name=name, **rules | pairs | {"columns": columns})
    return presets


def find_preset(name: str) -> Preset:
    """The preset of that name; raises `OptionError`."""
    presets = read_presets()
    if name not in presets:
        hint = suggest(name, presets) or f" The presets are: {', '.join(presets)}."
        raise OptionError(f"Unknown preset {shorten(name)!r}.{hint}")
    return presets[name]


def check_shot(shot: Shot, preset: Preset) -> list[str]:
    """What the agency would refuse, or recommends otherwise, as sentences."""
    count, (fewest, most) = len(shot.list_keywords()), preset.keywords
    found = []
    if count < fewest:
        found.append(f"{_count(count)}, at least {fewest} needed: add the rest by hand")
    elif preset.recommended and count < preset.recommended[0]:
        low, high = preset.recommended
        found.append(f"{_count(count)}, {low}–{high} recommended: add the rest by hand")
    if most is not None and count > most:
        found.append(f"{_count(count)}, at most {most} allowed: the last {count - most} are left out")
    if preset.max_filename is not None and len(shot.filename) > preset.max_filename:
        found.append(
            f"the file name has {len(shot.filename)} characters, at most {preset.max_filename} allowed"
        )
    columns = [what for _, what in preset.columns if what in ("title", "description")]
    texts = find_texts(shot, preset)
    for name in columns:
        text = texts[name]
        if not text and preset.name != GENERIC:
            found.append(f"no {name}")
        if name == columns[0] and preset.max_title is not None and len(text) > preset.max_title:
            found.append(f"the {name} has {len(text)} characters, at most {preset.max_title} allowed")
        if "," in text and not preset.commas_in_title:
            found.append(f"the {name} has a comma, which isn't allowed")
    return found


def write_csv(shots: Sequence[Shot], preset: Preset) -> str:
    """The upload file: one row per shot."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([header for header, _ in preset.columns])
    for shot in shots:
        values = {
            "filename": shot.filename,
            **find_texts(shot, preset),
            "keywords": ", ".join(shot.list_keywords(preset.keywords[1])),
            "category": find_category(shot, preset.categories),
            "no": "No",
        }
        writer.writerow([values.get(what, "") for _, what in preset.columns])
    return stream.getvalue()


def merge_shots(shots: Iterable[Shot]) -> list[Shot]:
    """One row for each shot: for the files with the same folder and name, whatever their ending.

    The file that agencies take gives the name and the suggestions. What people wrote is from all files.
    """
    found: dict[str, list[Shot]] = {}
    for shot in shots:
        key = str(PurePath(shot.source).with_suffix("")) if shot.filename else shot.source
        found.setdefault(key, []).append(shot)
    return [_merge(sorted(files, key=_preference)) for files in found.values()]


def _merge(files: Sequence[Shot]) -> Shot:
    return replace(
        files[0],
        title=next((shot.title for shot in files if shot.title), ""),
        description=next((shot.description for shot in files if shot.description), ""),
        categories=tuple(word for shot in files for word in shot.categories),
        people_keywords=tuple(word for shot in files for word in shot.people_keywords),
    )


def find_texts(shot: Shot, preset: Preset) -> dict[str, str]:
    """The title and the description. If there is one column for both, the other text fills it.

    >>> shot = Shot(source="a.jpg", keywords=(), description="The old harbour", made_title="a")
    >>> find_texts(shot, find_preset("adobe-stock"))["title"], find_texts(shot, find_preset("pond5"))["title"]
    ('The old harbour', 'a')
    """
    has_both = "description" in (what for _, what in preset.columns)
    title = shot.title or ("" if has_both else shot.description) or shot.made_title
    return {"title": title, "description": shot.description or title}


def find_category(shot: Shot, categories: Mapping[str, str]) -> str:
    """The agency's category: one that a person chose, else that of the first keyword that has one.

    Of a keyword's path, the narrowest concept decides. Empty if there is none.

    >>> find_category(Shot(source="a.jpg", keywords=(), categories=("Nature",)), {"landscape": "Nature"})
    'Nature'
    """
    known = {category.casefold(): category for category in categories.values()}
    for word in shot.categories:
        if word.casefold() in known:
            return known[word.casefold()]
    for entry in shot.keywords:
        for word in reversed(entry.path):
            if word in categories:
                return categories[word]
    return ""


def _preference(shot: Shot) -> int:
    suffix = PurePath(shot.source).suffix.lower()
    return _PREFERRED.index(suffix) if suffix in _PREFERRED else len(_PREFERRED)


def _count(count: int) -> str:
    return f"{count} keyword{'' if count == 1 else 's'}"
