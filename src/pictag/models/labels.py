"""The labels of a model, in the order of its output."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Literal, cast

from pictag.errors import InvalidModel, shorten

ProblemType = Literal["single_label_classification", "multi_label_classification", "regression"]

_PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")
_MAX_LABELS = 1_000_000
_WORDNET_ID = re.compile(r"n\d{8}")
IMAGENET_1K = 1000


def read_labels(config: Mapping[str, Any], *, where: str = "config.json") -> tuple[str, ...]:
    """The labels that a configuration names, by their place in the output.

    In this order: ``id2label``; timm's ``label_names`` (with ``label_descriptions`` for WordNet ids) or its
    legacy ``labels``; ``label2id``; the ImageNet-1k labels for a timm model of 1000 classes; ``LABEL_0`` …
    for as many as ``num_labels`` or ``num_classes`` say, which is 2 by default as in the reference
    implementation. An id that ``id2label`` leaves out is called ``LABEL_<id>`` too. Raises `InvalidModel`.

    >>> read_labels({"id2label": {"0": "cat", "1": "dog"}})
    ('cat', 'dog')
    >>> read_labels({"num_labels": 3})
    ('LABEL_0', 'LABEL_1', 'LABEL_2')
    """
    if config.get("id2label"):
        return _from_id2label(config["id2label"], where)
    if (named := _timm_labels(config, where)) is not None:
        return named
    if config.get("label2id"):
        return _from_label2id(config["label2id"], where)
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
    text = resources.files("pictag.models").joinpath("imagenet1k.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def read_problem_type(config: Mapping[str, Any], *, where: str = "config.json") -> ProblemType:
    """What kind of classification the model does; single-label where the configuration does not say.

    >>> read_problem_type({"problem_type": "regression"})
    'regression'
    """
    value = config.get("problem_type")
    if value is None:
        return "single_label_classification"
    if value not in _PROBLEM_TYPES:
        raise InvalidModel(
            f"{where} has problem_type {shorten(value, 60)!r}; it is one of {', '.join(_PROBLEM_TYPES)}."
        )
    return cast("ProblemType", value)


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a configuration was written by timm, or by transformers for a timm model."""
    if config.get("model_type") == "timm_wrapper" or isinstance(config.get("pretrained_cfg"), Mapping):
        return True
    return "architecture" in config and "num_classes" in config


def _from_id2label(table: object, where: str) -> tuple[str, ...]:
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        table = dict(enumerate(table))
    if not isinstance(table, Mapping):
        raise InvalidModel(f"id2label in {where} is {shorten(table, 60)!r}, not a table of labels by id.")
    return _fill({_id(key, where): value for key, value in table.items()}, where)


def _from_label2id(table: object, where: str) -> tuple[str, ...]:
    if not isinstance(table, Mapping):
        raise InvalidModel(f"label2id in {where} is {shorten(table, 60)!r}, not a table of ids by label.")
    return _fill({_id(value, where): key for key, value in table.items()}, where)


def _fill(by_id: Mapping[int, object], where: str) -> tuple[str, ...]:
    count = max(by_id) + 1
    if count > _MAX_LABELS:
        raise InvalidModel(f"A label in {where} has the id {count - 1}, which no model's output reaches.")
    return tuple(_text(by_id.get(i), i, where) for i in range(count))


def _id(key: object, where: str) -> int:
    try:
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise ValueError
        number = int(key)
        if number < 0:
            raise ValueError
    except ValueError:
        raise InvalidModel(
            f"A label in {where} has the id {shorten(key, 60)!r}, which is no whole number."
        ) from None
    return number


def _text(label: object, index: int, where: str) -> str:
    if label is None:
        return f"LABEL_{index}"
    if isinstance(label, str):
        return label
    if isinstance(label, bool | int | float):
        return str(label)
    raise InvalidModel(f"Label {index} in {where} is {shorten(label, 60)!r}, not text.")


def _timm_labels(config: Mapping[str, Any], where: str) -> tuple[str, ...] | None:
    nested = config.get("pretrained_cfg")
    nested = nested if isinstance(nested, Mapping) else {}
    names = next(
        (
            table[key]
            for table, key in (
                (config, "label_names"),
                (config, "labels"),
                (nested, "label_names"),
                (nested, "labels"),
            )
            if table.get(key)
        ),
        None,
    )
    if names is None:
        return None
    if not isinstance(names, Sequence) or isinstance(names, str | bytes):
        if not isinstance(names, Mapping):
            raise InvalidModel(f"label_names in {where} is {shorten(names, 60)!r}, not a list of labels.")
        return _from_id2label(names, where)
    descriptions = config.get("label_descriptions") or nested.get("label_descriptions")
    return tuple(_describe(_text(name, i, where), i, descriptions) for i, name in enumerate(names))


def _describe(name: str, index: int, descriptions: object) -> str:
    # A WordNet id says nothing to a person; any other name is the label itself, as in the reference.
    if not _WORDNET_ID.fullmatch(name):
        return name
    if isinstance(descriptions, Mapping):
        found = descriptions.get(name)
    elif (
        isinstance(descriptions, Sequence) and not isinstance(descriptions, str) and index < len(descriptions)
    ):
        found = descriptions[index]
    else:
        found = None
    return found if isinstance(found, str) else name


def _count(config: Mapping[str, Any], where: str) -> int | None:
    nested = config.get("pretrained_cfg")
    for table in (config, nested if isinstance(nested, Mapping) else {}):
        for key in ("num_labels", "num_classes"):
            value = table.get(key)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MAX_LABELS:
                raise InvalidModel(f"{key} in {where} is {shorten(value, 60)!r}, not a number of labels.")
            return value
    return None
