"""Write src/pictag/vocabulary/concepts.tsv: ``python training/make_vocabulary.py ../shared/datasets``.

The classes and their WordNet ancestors come from ``imagenet-1k-classes.tsv`` and ``imagenet-hypernyms.tsv``
in that folder, the broader concepts and clearer names from ``vocabulary.txt`` beside this script. Run
``docs/make_vocabulary.py`` afterwards for the page that shows the tree.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "src" / "pictag" / "vocabulary" / "concepts.tsv"
COLUMNS = ("id", "word", "synonyms", "parents", "name")  # name: the first one in ImageNet's list


@dataclass(slots=True, kw_only=True)
class Row:
    """A concept of vocabulary.txt; ``classes`` are all ImageNet classes that belong to it."""

    word: str
    synset: str | None
    synonyms: list[str]
    parents: list[str]
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    children: list[str] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a file of tab-separated values."""
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))


def read_overlay(path: Path) -> tuple[dict[str, Row], dict[str, str]]:
    """The concepts by word, in the order of the file, and the clearer names of classes by WordNet id."""
    rows: dict[str, Row] = {}
    names: dict[str, str] = {}
    references: list[tuple[str, str]] = []
    trail: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("="):
            synset, _, name = text[1:].partition(" ")
            names[synset] = name
            continue
        del trail[len(line) - len(line.lstrip("\t")) :]
        if text.startswith("@"):
            references.append((text[1:], trail[-1]))
            continue
        word, synonyms, members = (part.strip() for part in text.split("|"))
        if word in rows:
            raise SystemExit(f"{path}: {word!r} is there twice")
        ids = members.split()
        rows[word] = Row(
            word=word,
            synset=next((i for i in ids if i[0] not in "+-"), None),
            synonyms=[s.strip() for s in synonyms.split(",") if s.strip()],
            parents=trail[-1:],
            added=[i.lstrip("+") for i in ids if i[0] != "-"],
            removed=[i[1:] for i in ids if i[0] == "-"],
        )
        trail.append(word)
    for word, parent in references:
        rows[word].parents.append(parent)
    for row in rows.values():
        for parent in row.parents:
            rows[parent].children.append(row.word)
    return rows, names


def collect_classes(rows: dict[str, Row], ancestors: dict[str, set[str]]) -> None:
    """Fill in the classes of each concept. ``ancestors`` has those of each class, itself included."""
    known = set().union(*ancestors.values())

    @cache
    def collect(word: str) -> frozenset[str]:
        row = rows[word]
        unknown = {*row.added, *row.removed} - known
        if unknown:
            raise SystemExit(f"{word}: unknown synsets {', '.join(sorted(unknown))}")
        own = {
            name
            for name, above in ancestors.items()
            if name in row.added or (above & set(row.added) and not above & set(row.removed))
        }
        return frozenset(own.union(*map(collect, row.children)))

    for row in rows.values():
        row.classes = set(collect(row.word))
        if not row.classes:
            raise SystemExit(f"{row.word}: no ImageNet class belongs to it")


def find_parents(name: str, word: str, rows: dict[str, Row]) -> list[str]:
    """The narrowest concepts of a class: the one with its word first, then those that WordNet has."""
    reached = [row for row in rows.values() if name in row.classes]
    narrowest = [row for row in reached if not any(name in rows[child].classes for child in row.children)]
    return [row.word for row in sorted(narrowest, key=lambda row: (row.word != word, row.synset is None))]


def main(folder: Path) -> None:
    """Write the file."""
    synsets = {row["synset"]: row for row in read_table(folder / "imagenet-hypernyms.tsv")}
    classes = read_table(folder / "imagenet-1k-classes.tsv")

    @cache
    def climb(name: str) -> frozenset[str]:
        parents = filter(None, synsets[name]["parents"].split(","))
        return frozenset({name}).union(*map(climb, parents))

    rows, names = read_overlay(HERE / "vocabulary.txt")
    collect_classes(rows, {row["wnid"]: set(climb(row["wnid"])) for row in classes})
    lines = [COLUMNS]
    lines += [(r.synset or "", r.word, "|".join(r.synonyms), "|".join(r.parents), "") for r in rows.values()]
    for row in classes:
        first, *others = row["label"].split(", ")
        word = names.pop(row["wnid"], first)
        synonyms = [name for name in dict.fromkeys((first, *others)) if name != word]
        parents = "|".join(find_parents(row["wnid"], word, rows))
        lines.append((row["wnid"], word, "|".join(synonyms), parents, first))
    if names:
        raise SystemExit(f"not classes: {', '.join(names)}")
    TARGET.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
