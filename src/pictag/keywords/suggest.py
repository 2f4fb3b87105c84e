"""From predictions to keywords."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pictag.errors import OptionError
from pictag.images import is_single
from pictag.keywords.catalogue import Catalogue, read_catalogue
from pictag.keywords.cuts import find_cuts
from pictag.options import ScoringOptions, check_count, check_min_score
from pictag.pipelines.results import check_minimum, choose_model_activation, gives_probabilities
from pictag.records import Failure, Label, Prediction
from pictag.vocabulary import count_classes, match_labels
from pictag.vocabulary.labels import check_term, clean_term

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from pictag.keywords.cuts import Cuts
    from pictag.models.load import Model
    from pictag.options import Activation
    from pictag.pipelines import ImageClassificationPipeline
    from pictag.vocabulary import Concept, LabelConcepts

_REASONS = 3  # labels named as the reason for a concept
# How much a term says, in bits: the fewer of ImageNet's 1,000 classes are below it, the more.
_LABEL_BITS = 1 + math.log2(1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """One keyword of one photograph.

    ``kind`` is "concept" for a broader term, whose ``score`` is the sum of the labels below it, "label" for
    a label of the model, and "added" for a word that the caller gave. ``path`` leads from the broadest
    concept to the keyword, ``id`` is its WordNet id. ``reasons`` are the labels that it follows from, best
    first.
    """

    keyword: str
    score: float
    kind: Literal["label", "concept", "added"]
    path: tuple[str, ...]
    id: str | None = None
    reasons: tuple[Label, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class KeywordSuggestions:
    """The keywords of one photograph, best first, or the failure."""

    source: str
    keywords: tuple[Suggestion, ...] = ()
    error: Failure | None = None


class Keyworder:
    """Suggests keywords for photographs, with any classifier.

    Words to ``add`` come first. Then come the suggestions, those that say most first: a narrow term before a
    broad one of the same score.

    Args:
        classifier: A pipeline of `pictag.pipeline`.
        vocabulary: Suggest only terms of this catalogue: a `pictag.keywords.Catalogue`, or a file as
            Lightroom and Photo Mechanic export it.
        max_keywords: Most suggestions for a photograph; by default all that reach the score.
        min_score: Lowest score of a suggestion; by default measured for the model
            (`pictag.keywords.find_cuts`).
        add: Words for every photograph.

    Raises:
        OptionError: for an invalid value, and for a model whose scores are not probabilities.
    """

    def __init__(
        self,
        classifier: ImageClassificationPipeline[Any],
        vocabulary: Catalogue | str | os.PathLike[str] | None = None,
        *,
        max_keywords: int | None = None,
        min_score: float | None = None,
        add: Iterable[str] = (),
    ) -> None:
        self._classifier = classifier
        self._chooser = KeywordChooser(
            classifier.model,
            vocabulary,
            function_to_apply=classifier.options.scoring.function_to_apply,
            max_keywords=max_keywords,
            min_score=min_score,
            add=add,
        )

    @property
    def cuts(self) -> Cuts:
        """The lowest scores that apply without ``min_score``."""
        return self._chooser.cuts

    def suggest(self, inputs: Any) -> list[KeywordSuggestions]:
        """The keywords of one or several photographs; those that fail have an ``error``.

        Takes what `pictag.ImageClassificationPipeline.stream` takes, or one image.
        """
        return list(self.stream([inputs] if is_single(inputs) else inputs))

    def stream(self, inputs: Iterable[Any]) -> Iterator[KeywordSuggestions]:
        """Like `suggest`, lazily, for any number of photographs."""
        return map(self.convert, self._classifier.stream(inputs, top_k=1, all_scores=True))

    def convert(self, prediction: Prediction) -> KeywordSuggestions:
        """The keywords of a prediction that was made with ``all_scores=True``."""
        if prediction.error is not None:
            return KeywordSuggestions(source=prediction.source, error=prediction.error)
        if prediction.scores is None:
            raise OptionError("Keywords need the scores of all labels: classify with all_scores=True.")
        keywords = self._chooser.choose(prediction.scores)
        return KeywordSuggestions(source=prediction.source, keywords=keywords)


class KeywordChooser:
    """Chooses keywords from the scores of a model's labels; `Keyworder` says what the options mean."""

    def __init__(
        self,
        model: Model,
        vocabulary: Catalogue | str | os.PathLike[str] | None = None,
        *,
        function_to_apply: Activation | None = None,
        max_keywords: int | None = None,
        min_score: float | None = None,
        add: Iterable[str] = (),
    ) -> None:
        activation = choose_model_activation(model, ScoringOptions(function_to_apply=function_to_apply))
        if activation == "none" and (model.outputs != "probabilities" or model.problem_type == "regression"):
            raise OptionError("Keywords need probabilities, but this model's scores are raw numbers.")
        self.cuts = find_cuts(model.card)
        self._labels = model.labels
        self._exclusive = activation == "softmax" or (
            activation == "none" and model.problem_type == "single_label_classification"
        )
        self._concepts = _match_model(model)
        sizes = count_classes()
        self._bits = [_LABEL_BITS - math.log2(sizes[concept.word]) for concept in self._concepts.broader]
        self._catalogue = _open_catalogue(vocabulary)
        self._paths: dict[str, tuple[str, ...]] = {}
        self._max_keywords = None if max_keywords is None else check_count("max_keywords", max_keywords)
        self._added = tuple(map(_make_added, add))
        self._words = frozenset(
            term.word for term in (*self._concepts.labels, *self._concepts.broader) if term is not None
        )
        thresholds = model.card.knowledge.thresholds
        label_cut, self._concept_cut = self.cuts.label, self.cuts.concept
        if min_score is not None:
            thresholds, label_cut = {}, check_min_score(min_score)
            check_minimum("min_score", label_cut)
            self._concept_cut = label_cut
        self._label_cuts = np.array([thresholds.get(label, label_cut) for label in model.labels], np.float32)

    def choose(self, scores: NDArray[np.float32]) -> tuple[Suggestion, ...]:
        """The keywords for the scores of all labels [L]."""
        found: dict[str, tuple[float, Suggestion]] = {}
        for weight, suggestion in (*self._choose_concepts(scores), *self._choose_labels(scores)):
            known = found.get(suggestion.keyword.casefold())
            if known is None or known[0] < weight:
                found[suggestion.keyword.casefold()] = (weight, suggestion)
        for word in self._added:
            found.pop(word.keyword.casefold(), None)
        ranked = sorted(found.values(), key=lambda pair: (-pair[0], -len(pair[1].path)))
        return (*self._added, *(suggestion for _, suggestion in ranked[: self._max_keywords]))

    def _choose_concepts(self, scores: NDArray[np.float32]) -> Iterator[tuple[float, Suggestion]]:
        combined = self._concepts.combine(scores, exclusive=self._exclusive)
        for i in np.flatnonzero(combined >= self._concept_cut).tolist():
            members, score = self._concepts.labels_below(i), float(combined[i])
            best = members[np.argsort(-scores[members], kind="stable")[:_REASONS]].tolist()
            reasons = tuple(_make_label(self._labels, scores, index) for index in best)
            if suggestion := self._make(self._concepts.broader[i], score, "concept", reasons):
                yield score * self._bits[i], suggestion

    def _choose_labels(self, scores: NDArray[np.float32]) -> Iterator[tuple[float, Suggestion]]:
        for index in np.flatnonzero(scores >= self._label_cuts).tolist():
            term = self._concepts.labels[index]
            if term is not None:
                reason = _make_label(self._labels, scores, index)
                if suggestion := self._make(term, reason.score, "label", (reason,)):
                    yield reason.score * _LABEL_BITS, suggestion

    def _make(
        self, term: Concept, score: float, kind: Literal["label", "concept"], reasons: tuple[Label, ...]
    ) -> Suggestion | None:
        key = term.id or term.word
        if key not in self._paths:
            self._paths[key] = self._find_path(term)
        path = self._paths[key]
        if not path:
            return None
        return Suggestion(keyword=path[-1], score=score, kind=kind, path=path, id=term.id, reasons=reasons)

    def _find_path(self, term: Concept) -> tuple[str, ...]:
        """The path to a term, in the catalogue if there is one; empty for a term that isn't suggested."""
        if self._catalogue is None:
            return term.path
        entry = self._catalogue.match(term, self._words)
        path = tuple(map(clean_term, entry.path)) if entry is not None and entry.exported else ()
        return path if all(path) else ()


def count_concepts(model: Model) -> int:
    """How many broader concepts a model's keywords may have; 0 for scores that are not probabilities."""
    if not gives_probabilities(model, ScoringOptions()):
        return 0
    return len(_match_model(model).broader)


def _match_model(model: Model) -> LabelConcepts:
    return match_labels(model.labels, model.config_json.get("wordnet_ids", ()))


def _open_catalogue(vocabulary: Catalogue | str | os.PathLike[str] | None) -> Catalogue | None:
    if vocabulary is None or isinstance(vocabulary, Catalogue):
        return vocabulary
    return read_catalogue(vocabulary)


def _make_label(labels: Sequence[str], scores: NDArray[np.float32], index: int) -> Label:
    return Label(label=labels[index], score=float(scores[index]), index=index)


def _make_added(word: str) -> Suggestion:
    term = check_term(word)
    return Suggestion(keyword=term, score=1.0, kind="added", path=(term,))
