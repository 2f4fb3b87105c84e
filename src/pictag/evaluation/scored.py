"""Collect the scores of labelled images: from a pipeline, from any stream of predictions, or from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pictag.errors import InvalidData, OptionError, UnreadableResults, shorten
from pictag.evaluation.mapping import map_classes
from pictag.evaluation.metrics import Ints
from pictag.options import ScoringOptions
from pictag.pipelines.results import are_exclusive, choose_model_activation
from pictag.records import Failure, Prediction
from pictag.sinks.jsonl import read_jsonl
from pictag.sinks.run_record import read_record

if TYPE_CHECKING:
    from pictag.evaluation.labelled import LabelledData, LabelledImage
    from pictag.evaluation.mapping import LabelMapping
    from pictag.models.load import Model

_SUM_TOLERANCE = 0.01
NO_PREDICTION = "NoPrediction"
"""The kind of the failure of an image that a file of predictions doesn't have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredModel:
    """The facts about a model that an evaluation needs: its labels, and whether they exclude each other.

    ``name`` is for people. ``thresholds`` by label are those of the model's card, ``temperature`` too; a
    graph that returns probabilities doesn't take one.
    """

    name: str
    labels: tuple[str, ...]
    exclusive: bool
    wordnet_ids: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)
    temperature: float = 1.0
    takes_temperature: bool = True
    sha256: str | None = None


def describe_model(model: Model, scoring: ScoringOptions | None = None) -> ScoredModel:
    """The facts about a model that was loaded. Raises `OptionError` if its scores aren't probabilities."""
    scoring = scoring or ScoringOptions()
    return ScoredModel(
        name=model.ref.name if model.ref.path is None else model.ref.path.resolve().name,
        labels=model.labels,
        exclusive=are_exclusive(model, scoring),
        wordnet_ids=tuple(model.config_json.get("wordnet_ids", ())),
        thresholds=dict(model.card.knowledge.thresholds),
        temperature=model.card.knowledge.temperature,
        takes_temperature=choose_model_activation(model, scoring) != "none",
        sha256=model.card.sha256,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredImages:
    """The images that were classified, and those that failed.

    ``scores`` is float32 [N, U] in the order of ``mapping.names``. ``truth`` has the true places: indices [N]
    if each image has one label and labels exclude each other, otherwise booleans [N, U], where ``judged`` has
    the places that the data has labels for. ``skipped`` are images of classes that the model doesn't have.
    """

    model: ScoredModel
    data: LabelledData
    mapping: LabelMapping
    images: tuple[LabelledImage, ...]
    scores: NDArray[np.float32]
    truth: NDArray[Any]
    judged: Ints
    failures: tuple[tuple[LabelledImage, Failure], ...]
    skipped: tuple[LabelledImage, ...]

    @property
    def is_multi_label(self) -> bool:
        """Whether each label is judged on its own."""
        return self.truth.ndim == 2


class ScoreCollector:
    """A sink of predictions made with ``all_scores=True`` for the images of labelled data."""

    def __init__(self, data: LabelledData, model: ScoredModel, *, how: str | Path | None = None) -> None:
        """``how`` is described at `map_classes`. Raises `InvalidData` if no class is a label of the model."""
        self.data = data
        self.model = model
        self.mapping = map_classes(data.classes, model.labels, how=how, wordnet_ids=model.wordnet_ids)
        self.is_multi_label = data.is_multi_label or not model.exclusive
        known = self.mapping.classes
        # In multi-label data, an image without any of the model's labels is evaluated: all are wrong for it.
        self.images = tuple(image for image in data.images if self.is_multi_label or image.labels[0] in known)
        wanted = set(self.images)
        self.skipped = tuple(image for image in data.images if image not in wanted)
        self._places = {image.path: place for place, image in enumerate(self.images)}  # by its unique path
        self._scores = np.full((len(self.images), len(self.mapping.names)), np.nan, np.float32)
        self._failures: dict[int, Failure] = {}

    def write(self, prediction: Prediction) -> None:
        """Store the scores of one image; images that aren't evaluated are ignored."""
        place = self._places.get(prediction.source)
        if place is None:
            return
        if prediction.error is not None:
            self._failures[place] = prediction.error
            return
        if prediction.scores is None:
            raise OptionError("An evaluation needs the scores of all labels: classify with all_scores=True.")
        self._scores[place] = self.mapping.combine(prediction.scores, exclusive=self.model.exclusive)

    def close(self) -> None:
        """Nothing is open."""

    def finish(self) -> ScoredImages:
        """All scores. Raises `InvalidData` if no image could be read."""
        done = ~np.isnan(self._scores).any(axis=1)
        if not done.any():
            reasons = "; ".join(
                shorten(failure.message, 200) for failure in list(self._failures.values())[:3]
            )
            raise InvalidData(f"No image could be classified. {reasons}")
        images = tuple(self.images[place] for place in np.flatnonzero(done).tolist())
        known = self.mapping.classes
        truth: NDArray[Any]
        if self.is_multi_label:
            truth = np.zeros((len(images), len(self.mapping.names)), bool)
            for row, image in zip(truth, images, strict=True):
                row[[known[label] for label in image.labels if label in known]] = True
        else:
            truth = np.array([known[image.labels[0]] for image in images], np.int64)
        missing = Failure(kind=NO_PREDICTION, message="The file has no prediction for this image.")
        return ScoredImages(
            model=self.model,
            data=self.data,
            mapping=self.mapping,
            images=images,
            scores=self._scores if done.all() else self._scores[done],
            truth=truth,
            judged=np.array(sorted(set(known.values())), np.int64),
            failures=tuple(
                (self.images[place], self._failures.get(place, missing))
                for place in np.flatnonzero(~done).tolist()
            ),
            skipped=self.skipped,
        )


def read_predictions(path: Path, data: LabelledData, *, how: str | Path | None = None) -> ScoredImages:
    """The scores in a file that ``pictag classify --top-k all -o FILE.jsonl`` wrote.

    Images are matched by absolute path. Predictions of other images are ignored. Raises
    `UnreadableResults` for a file that doesn't have the scores of all labels as probabilities.
    """
    by_path = {_resolve(image.path): image.path for image in data.images}
    record = read_record(path, "jsonl") or {}
    collector: ScoreCollector | None = None
    failed = []
    for prediction in read_jsonl(path):
        source = by_path.get(_resolve(prediction.source))
        if source is None:
            continue
        if prediction.error is not None:
            failed.append(Prediction(source=source, error=prediction.error))
            continue
        labels, scores = _read_scores(prediction, path)
        if collector is None:
            collector = ScoreCollector(data, _guess_model(path, record, labels, scores), how=how)
        if labels != collector.model.labels:
            raise UnreadableResults(
                f"{shorten(path)}: the labels of {shorten(prediction.source)} differ from those of the "
                "images before it. Write the file with one model, and with --top-k all."
            )
        collector.write(Prediction(source=source, scores=scores))
    if collector is None:
        raise UnreadableResults(
            f"{shorten(path)} has no predictions for the images of {shorten(data.place)}. Its sources are "
            "compared with their paths, which are relative to the current folder."
        )
    for prediction in failed:
        collector.write(prediction)
    return collector.finish()


def _read_scores(prediction: Prediction, path: Path) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    ordered = sorted(prediction.labels, key=lambda label: label.index)
    if [label.index for label in ordered] != list(range(len(ordered))) or not ordered:
        raise UnreadableResults(
            f"{shorten(path)} doesn't have the scores of all labels for {shorten(prediction.source)}. Write "
            "it with --top-k all and without --min-score. If the model's card has thresholds, which leave "
            "labels out too, evaluate the model itself."
        )
    scores = np.array([label.score for label in ordered], np.float32)
    if not ((scores >= 0) & (scores <= 1)).all():
        raise UnreadableResults(
            f"{shorten(path)}: the scores of {shorten(prediction.source)} aren't probabilities. Write the "
            "file without --function-to-apply none."
        )
    return tuple(label.label for label in ordered), scores


def _guess_model(
    path: Path, record: Mapping[str, Any], labels: Sequence[str], scores: NDArray[np.float32]
) -> ScoredModel:
    is_sum = abs(float(scores.sum()) - 1) <= _SUM_TOLERANCE
    if record.get("function_to_apply") in ("softmax", "sigmoid"):
        exclusive = record["function_to_apply"] == "softmax"
    elif "problem_type" in record:
        exclusive = record["problem_type"] == "single_label_classification" and len(labels) > 1
    else:
        exclusive = is_sum
    return ScoredModel(
        name=str(record.get("model", path.name)),
        labels=tuple(labels),
        exclusive=exclusive,
        thresholds=record.get("thresholds") or {},
        temperature=float(record.get("temperature") or 1.0),
        sha256=record.get("sha256"),
    )


def _resolve(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)  # noqa: PTH100 - resolves no links
