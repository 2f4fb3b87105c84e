"""Converts a classifier's scores to the terms that a library stores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag.errors import OptionError
from pictag.gallery.store import ModelFacts, Term, save_term
from pictag.metadata.keywords import meaning
from pictag.models.load import hash_weights
from pictag.pipelines.results import are_exclusive, choose_model_activation
from pictag.vocabulary import match_labels

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

    from pictag.pipelines import ImageClassificationPipeline
    from pictag.vocabulary import Concept

MIN_STORED_SCORE = 0.02
"""Labels and concepts with a lower score aren't stored, except for the best labels."""
_BEST_LABELS = 5
# The options that determine labels, scores and embeddings: the model is opened again with these.
_OPENING = ("revision", "dtype", "model_file", "output", "output_name", "embedding_output", "crop")


def describe_model(classifier: ImageClassificationPipeline[Any]) -> ModelFacts:
    """The model and the options of a classifier, as a library stores them.

    Raises `OptionError` for options with which images wouldn't be recognised later, and without embeddings.
    """
    options, model = classifier.options, classifier.model
    if options.decode != "exact" or options.alpha != "drop":
        raise OptionError(
            "A library needs the pixels as they are: leave decode and alpha at 'exact' and 'drop'."
        )
    if not options.embeddings and options.embedding_output is None:
        raise OptionError(
            "A library needs embeddings: open the model with pictag.pipeline(…, embeddings=True)."
        )
    opening: dict[str, Any] = {name: getattr(options, name) for name in _OPENING}
    opening["function_to_apply"] = options.scoring.function_to_apply
    sha256, knowledge = hash_weights(model), model.card.knowledge
    decisive = {
        "sha256": sha256,
        "labels": model.labels,
        "preprocessing": model.card.preprocessing,
        "outputs": (model.output_name, model.outputs, options.embedding_output),
        "activation": choose_model_activation(model, options.scoring),
        "temperature": knowledge.temperature,
        "crop": options.crop,
    }
    path = model.ref.path
    return ModelFacts(
        identity=hashlib.sha256(json.dumps(decisive).encode()).hexdigest(),
        name=model.card.name,
        options=opening | {"model": model.ref.name if path is None else str(Path(path).resolve())},
        labels=model.labels,
        sha256=sha256,
    )


class TermScorer:
    """Chooses the terms of an image from the scores of all labels. Creating it stores the model's terms."""

    def __init__(self, connection: sqlite3.Connection, classifier: ImageClassificationPipeline[Any]) -> None:
        model = classifier.model
        self._exclusive = are_exclusive(model, classifier.options.scoring)
        self._concepts = match_labels(model.labels, model.config_json.get("wordnet_ids", ()))
        terms: dict[str, Term] = {}
        # A word that is both a label and a concept, such as "castle", is one term.
        for concepts, kind in ((self._concepts.labels, "label"), (self._concepts.broader, "concept")):
            for concept in filter(None, concepts):
                known = terms.get(meaning(concept.word))
                synonyms = () if known is None else known.synonyms
                terms[meaning(concept.word)] = Term(
                    word=concept.word,
                    kind=kind,
                    synonyms=tuple(dict.fromkeys((*concept.synonyms, *synonyms))),
                )
        ids = {key: save_term(connection, term) for key, term in terms.items()}

        def find(concept: Concept | None) -> int:
            return 0 if concept is None else ids[meaning(concept.word)]

        self._label_ids = np.array([find(label) for label in self._concepts.labels], np.int64)
        self._concept_ids = np.array([find(concept) for concept in self._concepts.broader], np.int64)

    def choose(self, scores: NDArray[np.float32]) -> dict[int, float]:
        """The scores by term id: labels and concepts from `MIN_STORED_SCORE` on, and the five best labels."""
        combined = self._concepts.combine(scores, exclusive=self._exclusive)
        labels = np.flatnonzero(scores >= MIN_STORED_SCORE)
        if len(labels) < _BEST_LABELS:
            labels = np.argsort(-scores, kind="stable")[:_BEST_LABELS]
        concepts = np.flatnonzero(combined >= MIN_STORED_SCORE)
        found: dict[int, float] = {}
        for ids, values in (
            (self._label_ids[labels], scores[labels]),
            (self._concept_ids[concepts], combined[concepts]),
        ):
            for term_id, score in zip(ids.tolist(), values.tolist(), strict=True):
                if term_id:  # 0 is a label without a word
                    found[term_id] = max(score, found.get(term_id, 0.0))
        return found
