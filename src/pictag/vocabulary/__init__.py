"""Broader concepts for the classes of models: from "Labrador retriever" to dog, mammal and animal.

`read_concepts` gives pictag's own vocabulary, `match_labels` connects it with the labels of a model.
"""

from __future__ import annotations

from pictag.vocabulary.concepts import Concept, count_classes, read_classes, read_concepts
from pictag.vocabulary.labels import clean_label
from pictag.vocabulary.matching import LabelConcepts, match_labels

__all__ = [
    "Concept",
    "LabelConcepts",
    "clean_label",
    "count_classes",
    "match_labels",
    "read_classes",
    "read_concepts",
]
