"""The labels of a model, in the order of its output."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pictag.errors import InvalidModel, shorten

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

_PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
_MAX_LABELS = 1_000_000
_WHOLE_NUMBER = re.compile(r"\s*\+?\d{1,9}\s*")
_WORDNET_ID = re.compile(r"n\d{8}")
IMAGENET_1K = 1000


def read_labels(
    config: Mapping[str, Any], *, where: str = "config.json", beside: tuple[str, ...] | None = None
) -> tuple[str, ...]:
    """The labels in a configuration, in the order of the output. Raises `InvalidModel`.

    The first of these that is present: ``id2label``; timm's ``label_names`` (with ``label_descriptions`` for
    WordNet ids) or its legacy ``labels``; ``label2id``; those in a file ``beside`` it; the ImageNet-1k labels
    for a timm model of 1000 classes; ``LABEL_0`` … for as many as ``num_labels`` or ``num_classes`` says, by
    default 2 as in transformers. An id that is missing in ``id2label`` also becomes ``LABEL_<id>``.

    >>> read_labels({"id2label": {"0": "cat", "1": "dog"}})
    ('cat', 'dog')
    >>> read_labels({"num_labels": 3})
    ('LABEL_0', 'LABEL_1', 'LABEL_2')
    """
    if config.get("id2label"):
        return _from_table("id2label", config["id2label"], where)
    if (named := _timm_labels(config, where)) is not None:
        return named
    if config.get("label2id"):
        table = config["label2id"]
        if not isinstance(table, Mapping):
            raise InvalidModel(f"label2id in {where} is {shorten(table, 60)!r}, not a table of ids by label.")
        return _from_ids(((index, label) for label, index in table.items()), where)
    if beside is not None:
        return beside
    count = _count(config, where)
    if count == IMAGENET_1K and is_timm(config):
        return read_imagenet_labels()
    return tuple(f"LABEL_{i}" for i in range(2 if count is None else count))


def read_imagenet_labels() -> tuple[str, ...]:
    """The 1000 labels of ImageNet-1k, in the order of their WordNet ids.

    >>> labels = read_imagenet_labels()
    >>> len(labels), labels[292]
    (1000, 'tiger, Panthera tigris')
    """
    return tuple(label for _, label, _ in _read_imagenet_classes())


def read_distinct_imagenet_labels() -> dict[str, str]:
    """The labels of ImageNet-1k by WordNet id, each with a first name that no other label has.

    >>> labels = read_distinct_imagenet_labels()
    >>> labels["n02129604"], labels["n02012849"], labels["n03126707"]
    ('tiger, Panthera tigris', 'crane (wading bird)', 'crane (lifting device)')
    """
    labels = {}
    for synset, label, qualifier in _read_imagenet_classes():
        first, comma, others = label.partition(",")
        labels[synset] = f"{first} ({qualifier}){comma}{others}" if qualifier else label
    return labels


def _read_imagenet_classes() -> Iterator[list[str]]:
    """WordNet id, label and qualifier of each class, as training/imagenet_classes.py writes them."""
    text = Path(__file__).with_name("imagenet1k.tsv").read_text(encoding="utf-8")
    return (line.split("\t") for line in text.splitlines()[1:])


def read_problem_type(
    config: Mapping[str, Any],
    *,
    where: str = "config.json",
    default: ProblemType = "single_label_classification",
) -> ProblemType:
    """The kind of classification; ``default`` if the configuration doesn't say.

    >>> read_problem_type({"problem_type": "regression"})
    'regression'
    """
    value = config.get("problem_type")
    if value is None:
        return default
    if value not in _PROBLEM_TYPES:
        raise InvalidModel(
            f"problem_type in {where} is {shorten(value, 60)!r}, not one of {', '.join(_PROBLEM_TYPES)}."
        )
    return cast("ProblemType", value)


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a configuration comes from timm, or from transformers for a timm model."""
    if config.get("model_type") == "timm_wrapper" or isinstance(config.get("pretrained_cfg"), Mapping):
        return True
    return "architecture" in config and "num_classes" in config


def _from_table(key: str, table: object, where: str) -> tuple[str, ...]:
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        table = dict(enumerate(table))
    if not isinstance(table, Mapping):
        raise InvalidModel(f"{key} in {where} is {shorten(table, 60)!r}, not a table of labels by id.")
    return _from_ids(table.items(), where)


def _from_ids(pairs: Iterable[tuple[object, object]], where: str) -> tuple[str, ...]:
    by_id = {}
    for key, label in pairs:
        # "7" and 7 are ids, True and 7.0 aren't.
        index = int(str(key)) if _WHOLE_NUMBER.fullmatch(str(key)) else _MAX_LABELS
        if index >= _MAX_LABELS:
            raise InvalidModel(
                f"A label in {where} has the id {shorten(key, 60)!r}; an id is a whole number from 0 to "
                f"{_MAX_LABELS - 1}."
            )
        by_id[index] = label
    labels = (by_id.get(index) for index in range(max(by_id) + 1))
    return tuple(
        label if isinstance(label, str) else _text(label, index, where) for index, label in enumerate(labels)
    )


def _text(label: object, index: int, where: str) -> str:
    if label is None:
        return f"LABEL_{index}"
    if not isinstance(label, str | int | float):
        raise InvalidModel(f"Label {index} in {where} is {shorten(label, 60)!r}, not text.")
    return str(label)


def _tables(config: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The configuration, and timm's configuration inside of it."""
    yield config
    if isinstance(nested := config.get("pretrained_cfg"), Mapping):
        yield nested


def _timm_labels(config: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    pairs = itertools.product(_tables(config), ("label_names", "labels"))
    names = next((table[key] for table, key in pairs if table.get(key)), None)
    if names is None:
        return None
    if isinstance(names, str | bytes) or not isinstance(names, Sequence):
        return _from_table("label_names", names, where)
    labels = [_text(name, index, where) for index, name in enumerate(names)]
    found = (table["label_descriptions"] for table in _tables(config) if table.get("label_descriptions"))
    descriptions = next(found, None)
    if isinstance(descriptions, Sequence) and not isinstance(descriptions, str):
        descriptions = dict(zip(labels, descriptions, strict=False))
    if not isinstance(descriptions, Mapping):
        return tuple(labels)
    # A WordNet id means nothing to a person; any other name is the label itself, as in timm.
    described = (descriptions.get(name) if _WORDNET_ID.fullmatch(name) else None for name in labels)
    return tuple(
        text if isinstance(text, str) else name for name, text in zip(labels, described, strict=True)
    )


def _count(config: Mapping[str, Any], where: str) -> int | None:
    for table, key in itertools.product(_tables(config), ("num_labels", "num_classes")):
        value = table.get(key)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_LABELS:
            raise InvalidModel(f"{key} in {where} is {shorten(value, 60)!r}, not a number of labels.")
        return value
    return None
