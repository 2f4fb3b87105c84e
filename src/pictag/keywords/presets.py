"""What agencies expect of an upload file. ``presets.json`` has the rules, each with its source and date.

A preset warns about what an agency would refuse; it never makes up keywords, titles or descriptions.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from pictag.errors import OptionError, shorten, suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """One photograph for an upload file; ``title`` and ``description`` are a person's, or empty."""

    source: str
    keywords: tuple[Suggestion, ...]
    title: str = ""
    description: str = ""
    people_keywords: tuple[str, ...] = ()

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
    headers = {what for _, what in preset.columns}
    if preset.max_title is not None and len(shot.title) > preset.max_title:
        found.append(f"the title has {len(shot.title)} characters, at most {preset.max_title} allowed")
    if "," in shot.title and not preset.commas_in_title:
        found.append("the title has a comma, which isn't allowed")
    found += [
        f"no {name}" for name in ("title", "description") if name in headers and not getattr(shot, name)
    ]
    return found


def write_csv(shots: Sequence[Shot], preset: Preset) -> str:
    """The upload file: one row per shot; of several files of one shot (RAW and JPEG) one row.

    Raises `OptionError` for a preset without a file and for more rows than the agency takes.
    """
    if not preset.columns:
        raise OptionError(f"{preset.title}: no upload file is needed. Use --embed.")
    rows = merge_shots(shots)
    if preset.max_rows is not None and len(rows) > preset.max_rows:
        raise OptionError(
            f"{len(rows):,} rows, but {preset.title} takes {preset.max_rows:,}. Split the photos."
        )
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([header for header, _ in preset.columns])
    for shot in rows:
        values = {
            "filename": shot.filename,
            "title": shot.title,
            "description": shot.description or shot.title,
            "keywords": ", ".join(shot.list_keywords(preset.keywords[1])),
            "category": find_category(shot, preset.categories),
            "no": "no",
        }
        writer.writerow([values.get(what, "") for _, what in preset.columns])
    return stream.getvalue()


def merge_shots(shots: Sequence[Shot]) -> list[Shot]:
    """One of the files of each shot: those with the same folder and name, whatever their ending."""
    chosen: dict[str, Shot] = {}
    for shot in shots:
        key = str(PurePath(shot.source).with_suffix("")) if shot.filename else shot.source
        if key not in chosen or _preference(shot) < _preference(chosen[key]):
            chosen[key] = shot
    return list(chosen.values())


def find_category(shot: Shot, categories: Mapping[str, str]) -> str:
    """The agency's category for the first keyword that has one, the narrowest of its path; empty if none has.

    >>> find_category(Shot(source="a.jpg", keywords=()), {"animal": "1"})
    ''
    """
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
