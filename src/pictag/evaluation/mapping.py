"""Map the classes of labelled data to the labels of a model.

A class is the label with the same text, or else the only label with the same name, however it is spelt
("tiger_cat", "Tiger cat"), or the label with the same WordNet id ("n02123159"). Everything else is said by
a file, or left out and named. A class with several labels gets their scores combined.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pictag.errors import InvalidData, list_some, shorten, suggest
from pictag.evaluation.labelled import read_csv
from pictag.evaluation.metrics import Ints
from pictag.models.labels import read_imagenet_labels
from pictag.vocabulary import match_labels, read_classes

IMAGENET = "imagenet"
_WORDNET_ID = re.compile(r"n\d{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMapping:
    """How the scores of a model's labels [L] become those of the names [U] that are compared.

    ``names`` are the data's classes and the model's other labels, in the model's order. ``places`` [L] has
    the place of each of the model's labels in ``names``, ``classes`` that of each class. ``unmapped`` are
    classes without a label, ``ambiguous`` those with several possible ones, and ``left_out`` those that the
    file leaves out. ``unknown`` are classes that only the file names.
    """

    names: tuple[str, ...]
    places: Ints
    classes: Mapping[str, int]
    unmapped: tuple[str, ...] = ()
    ambiguous: Mapping[str, tuple[str, ...]]
    left_out: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def combine(self, scores: NDArray[np.float32], *, exclusive: bool) -> NDArray[np.float32]:
        """The scores of the names [U], from those of the labels of one image [L].

        If labels exclude each other, their probabilities are summed. Otherwise, the largest is used.
        """
        if len(self.names) == len(scores):
            return scores
        combined = np.zeros(len(self.names), np.float32)
        (np.add if exclusive else np.maximum).at(combined, self.places, scores)
        return np.minimum(combined, 1)

    def labels_of(self, place: int) -> list[int]:
        """The indices of the model's labels that are combined at this place."""
        found: list[int] = np.flatnonzero(self.places == place).tolist()
        return found


def map_classes(
    classes: Sequence[str],
    labels: Sequence[str],
    *,
    how: str | Path | None = None,
    wordnet_ids: Sequence[str] = (),
) -> LabelMapping:
    """Map the classes of data to a model's labels.

    ``how`` is ``"imagenet"`` for data whose classes are ImageNet's, as WordNet ids, names, synonyms or
    indices from 0 to 999; or a CSV file of ``class,label``, which comes first. A class may have several rows,
    or one without a label, which leaves it out.

    Raises `InvalidData` if no class has a label, or the file is wrong.

    >>> mapping = map_classes(("Tiger_Cat", "lion", "unicorn"), ("lion, king of beasts", "tiger cat"))
    >>> mapping.names, mapping.classes, mapping.unmapped
    (('lion', 'Tiger_Cat'), {'Tiger_Cat': 1, 'lion': 0}, ('unicorn',))
    """
    found: dict[str, tuple[int, ...]] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    ids = tuple(term.id if term else None for term in match_labels(labels, wordnet_ids).labels)
    said = _read_file(Path(how), labels, ids) if how is not None and how != IMAGENET else {}
    synonyms = _read_imagenet_ids() if how == IMAGENET else {}
    if how == IMAGENET and not any(ids):
        raise InvalidData(
            "--map imagenet needs a model whose labels are classes of ImageNet, and this model has others. "
            "Give a CSV file of class,label."
        )
    keys = _collect_keys(labels)
    for name in classes:
        if name in said:
            candidates, is_certain = said[name], True
        elif how == IMAGENET:
            wanted = {name} if _WORDNET_ID.fullmatch(name) else synonyms.get(_normalize(name), set())
            candidates, is_certain = tuple(i for i, own in enumerate(ids) if own in wanted), False
        else:
            candidates, is_certain = _find(name, keys, ids), False
        if is_certain or len(candidates) == 1:
            found[name] = candidates
        elif candidates:
            ambiguous[name] = tuple(labels[index] for index in candidates)
    _refuse_sharing(found, ambiguous, said, labels)
    left_out = tuple(name for name in classes if found.get(name) == ())
    found = {name: indices for name, indices in found.items() if indices}
    unknown = tuple(name for name in said if name not in set(classes))
    if not found:
        hint = f" {shorten(how)} has other classes: {_show(unknown)}." if unknown else ""
        raise InvalidData(
            f"No class of the data is a label of the model. The classes are {_show(classes)}; the labels are "
            f"{_show(labels)}.{hint}{suggest(classes[0], labels)} Map them in a CSV file of "
            "class,label, and pass it with --map FILE."
        )
    unmapped = tuple(n for n in classes if n not in found and n not in ambiguous and n not in left_out)
    mapping = _assemble(labels, found)
    return replace(mapping, unmapped=unmapped, ambiguous=ambiguous, left_out=left_out, unknown=unknown)


def _find(
    name: str, keys: Sequence[Mapping[str, Sequence[int]]], ids: Sequence[str | None]
) -> tuple[int, ...]:
    exact, *others = keys
    if name in exact:
        return tuple(exact[name])
    if _WORDNET_ID.fullmatch(name):
        return tuple(index for index, own in enumerate(ids) if own == name)
    return next((tuple(table[_normalize(name)]) for table in others if _normalize(name) in table), ())


def _collect_keys(labels: Sequence[str]) -> list[dict[str, list[int]]]:
    """Labels by their text, then by their normalised text, their first name, and their synonyms."""
    tables: list[dict[str, list[int]]] = [defaultdict(list) for _ in range(4)]
    for index, label in enumerate(labels):
        names = [_normalize(part) for part in re.split(r",\s", label)]
        tables[0][label].append(index)
        tables[1][_normalize(label)].append(index)
        tables[2][names[0]].append(index)
        for name in dict.fromkeys(names):
            tables[3][name].append(index)
    return [dict(table) for table in tables]


def _read_imagenet_ids() -> dict[str, set[str]]:
    """The WordNet ids of ImageNet's classes by index, name and synonym."""
    found: dict[str, set[str]] = defaultdict(set)
    for index, (term, label) in enumerate(zip(read_classes(), read_imagenet_labels(), strict=True)):
        assert term.id is not None
        for name in (
            str(index),
            f"{index:03}",
            f"{index:04}",
            term.word,
            *term.synonyms,
            *re.split(r",\s", label),
        ):
            found[_normalize(name)].add(term.id)
    return dict(found)


def _read_file(path: Path, labels: Sequence[str], ids: Sequence[str | None]) -> dict[str, tuple[int, ...]]:
    keys = _collect_keys(labels)
    found: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(read_csv(path), start=1):
        cells = [cell.strip() for cell in row]
        if not any(cells) or (number == 1 and [cell.casefold() for cell in cells] == ["class", "label"]):
            continue
        if len(cells) != 2:
            raise InvalidData(
                f"Row {number} of {shorten(path)} is {shorten(','.join(row), 80)!r}, not class,label."
            )
        name, label = cells
        places = _find(label, keys, ids) if label else ()
        if label and len(places) != 1:
            problem = "is ambiguous" if places else "is not a label of the model"
            raise InvalidData(
                f"Row {number} of {shorten(path)}: {shorten(label, 80)!r} {problem}."
                f"{'' if places else suggest(label, labels)}"
            )
        found[name] = tuple(sorted({*found.get(name, ()), *places}))
    return found


def _refuse_sharing(
    found: dict[str, tuple[int, ...]],
    ambiguous: dict[str, tuple[str, ...]],
    said: Mapping[str, tuple[int, ...]],
    labels: Sequence[str],
) -> None:
    """A label belongs to one class, unless the file gives several classes the same labels."""
    users: dict[int, list[str]] = defaultdict(list)
    for name, indices in found.items():
        for index in indices:
            users[index].append(name)
    for index, names in users.items():
        if len({found[name] for name in names if name in found}) > 1:
            raise InvalidData(
                f"The classes {_show(names)} share the label {shorten(labels[index], 80)!r}, but not all of "
                "their labels. Give each label to one class, or the same labels to several."
            )
        if len(names) > 1 and not all(name in said for name in names):
            for name in names:
                ambiguous[name] = (labels[index],)
                found.pop(name, None)


def _assemble(labels: Sequence[str], found: Mapping[str, tuple[int, ...]]) -> LabelMapping:
    firsts = {index: indices[0] for indices in found.values() for index in indices}
    heads = [firsts.get(index, index) for index in range(len(labels))]
    order = sorted(set(heads))
    place_of = {head: place for place, head in enumerate(order)}
    classes = {name: place_of[firsts[indices[0]]] for name, indices in found.items()}
    first_names = [label.split(", ")[0] for label in labels]
    uses = Counter(first_names)
    names = [first_names[head] if uses[first_names[head]] == 1 else labels[head] for head in order]
    owners: dict[int, list[str]] = defaultdict(list)
    for name, place in classes.items():
        if not _WORDNET_ID.fullmatch(name):  # an id is not readable
            owners[place].append(name)
    for place, own in owners.items():
        names[place] = " / ".join(own)
    counts = Counter(names)
    shown = [f"{name} ({place})" if counts[name] > 1 else name for place, name in enumerate(names)]
    return LabelMapping(
        names=tuple(shown),
        places=np.array([place_of[head] for head in heads], np.int64),
        classes=classes,
        ambiguous={},
    )


def describe_gaps(mapping: LabelMapping) -> Iterator[str]:
    """One sentence for each kind of class that isn't evaluated."""
    if mapping.unmapped:
        yield f"Classes without a label: {_show(mapping.unmapped)}. Give their labels with --map FILE."
    for name, candidates in mapping.ambiguous.items():
        yield f"Ambiguous: the class {shorten(name, 60)!r} may be {_show(candidates)}. Choose with --map."
    if mapping.left_out:
        yield f"Left out by --map: {_show(mapping.left_out)}."
    if mapping.unknown:
        yield f"Named by --map, but not a class of the data: {_show(mapping.unknown)}."


def _normalize(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _show(names: Sequence[str]) -> str:
    return list_some([repr(shorten(name, 40)) for name in names])
