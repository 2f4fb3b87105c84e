"""Fit the values of a model's card that are about scores: the temperature and the labels' thresholds."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pictag.errors import InvalidData, OptionError, OutputError, shorten
from pictag.evaluation.calibration_error import bin_scores, measure_label_log_loss, measure_log_loss
from pictag.evaluation.estimates import Estimate, estimate_share
from pictag.evaluation.ranking import choose_threshold, make_curve, pool_curves
from pictag.evaluation.temperature import (
    apply_temperature,
    fit_temperature,
    to_logits,
)
from pictag.models.files import read_optional_json
from pictag.models.knowledge import find_card_file
from pictag.replacement import replace_file

if TYPE_CHECKING:
    from pictag.evaluation.metrics import Bools, Ints
    from pictag.evaluation.scored import ScoredImages
    from pictag.models.load import Model

FOLDS = 5
_MIN_IMAGES = 50
_SMALLEST, _LARGEST = 0.1, 10.0  # a temperature further from 1 is determined by very few images


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCard:
    """New values for a model's card.

    ``temperature`` replaces the card's; it is the old one if no other is better. ``thresholds``, by label,
    apply to scores with this temperature. The calibration error and log loss before and after, and the
    ``held_out`` precision and recall of the thresholds, come from 5-fold cross-validation. ``not_reached``
    are labels for which no threshold reaches the wanted precision or recall; they have the threshold that
    reaches it for all labels together.
    """

    images: int
    temperature: float
    old_temperature: float
    ece: tuple[float, float]
    log_loss: tuple[float, float]
    thresholds: Mapping[str, float]
    held_out: tuple[Estimate, Estimate] | None = None
    not_reached: tuple[str, ...] = ()


def fit_card(
    scored: ScoredImages, *, min_precision: float | None = None, min_recall: float | None = None
) -> FittedCard:
    """Fit the temperature, and with a wanted precision or recall the threshold of each label.

    With ``min_precision`` a label gets the lowest threshold that reaches it, with ``min_recall`` the highest.
    Raises `InvalidData` for too little data, and `OptionError` for options that contradict each other, or for
    a card whose thresholds would not fit the new temperature.
    """
    _check(scored, min_precision, min_recall)
    scores, truth = scored.scores, scored.truth
    if scored.is_multi_label:
        scores, truth = scores[:, scored.judged], truth[:, scored.judged]
    exclusive = not scored.is_multi_label
    folds = split_folds(scored)
    factor, after = 1.0, scores
    if scored.model.takes_temperature:
        factor = _fit(scores, truth)
        after = np.empty_like(scores)
        for fold in range(FOLDS):
            is_in = folds == fold
            others = _fit(scores[~is_in], truth[~is_in])
            after[is_in] = apply_temperature(scores[is_in], others, exclusive=exclusive)
        if _measure_loss(after, truth) >= _measure_loss(scores, truth):
            factor, after = 1.0, scores
    fitted = scores if factor == 1 else apply_temperature(scores, factor, exclusive=exclusive)
    thresholds: dict[str, float] = {}
    not_reached: list[str] = []
    held_out = None
    if min_precision is not None or min_recall is not None:
        wanted = min_precision, min_recall
        columns = scored.judged if not scored.is_multi_label else np.arange(len(scored.judged))
        has_label = truth[:, columns] if scored.is_multi_label else truth[:, None] == columns
        chosen = _choose(fitted[:, columns], has_label, wanted)
        labels = [scored.model.labels[scored.mapping.labels_of(place)[0]] for place in scored.judged]
        thresholds = {label: value for label, (value, _) in zip(labels, chosen, strict=True)}
        not_reached = [label for label, (_, is_own) in zip(labels, chosen, strict=True) if not is_own]
        right = kept = 0
        for fold in range(FOLDS):
            is_in = folds == fold
            limits = _choose(after[~is_in][:, columns], has_label[~is_in], wanted)
            is_kept = after[is_in][:, columns] >= np.array([value for value, _ in limits], np.float32)
            right += int((is_kept & has_label[is_in]).sum())
            kept += int(is_kept.sum())
        held_out = estimate_share(right, kept), estimate_share(right, int(has_label.sum()))
    return FittedCard(
        images=len(scores),
        temperature=scored.model.temperature * factor,
        old_temperature=scored.model.temperature,
        ece=(_measure_ece(scores, truth), _measure_ece(after, truth)),
        log_loss=(_measure_loss(scores, truth), _measure_loss(after, truth)),
        thresholds=thresholds,
        held_out=held_out,
        not_reached=tuple(not_reached),
    )


def split_folds(scored: ScoredImages) -> Ints:
    """0 to 4 for each image [N]: parts with the same share of each class, always the same."""
    keys = [
        (image.labels, zlib.crc32(image.name.encode("utf-8", "surrogateescape")), image.name)
        for image in scored.images
    ]
    folds = np.empty(len(keys), np.int64)
    for rank, place in enumerate(sorted(range(len(keys)), key=keys.__getitem__)):
        folds[place] = rank % FOLDS
    return folds


def write_card(model: Model, fitted: FittedCard, *, data: str, wanted: Mapping[str, float]) -> Path:
    """Put the values into the model's card, whose other entries stay; returns its path.

    Raises `OutputError`.
    """
    folder = model.weights.parents[model.card.weights.count("/")]
    path = find_card_file(model.ref, folder, model.card.sha256)
    if path is None:
        raise OutputError(
            f"The card of {shorten(model.card.name)} can't be stored: its files have no known sha256, "
            "or pictag's data folder can't be used. Copy the model into a folder of your own."
        )
    card: dict[str, Any] = dict(read_optional_json(path) or {})
    card["temperature"] = round(fitted.temperature, 6)
    if wanted:
        # Nine significant digits are exact for float32: decimals would make a threshold of 1e-8 zero.
        card["thresholds"] = {label: float(f"{value:.9g}") for label, value in fitted.thresholds.items()}
    card["calibration"] = {
        "data": data,
        "images": fitted.images,
        **wanted,
        "ece_before": round(fitted.ece[0], 5),
        "ece_after": round(fitted.ece[1], 5),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"Cannot write {shorten(path)}: {error.strerror}.", errno=error.errno, filename=path
        ) from error
    with replace_file(path) as stream:
        stream.write(json.dumps(card, indent=2, ensure_ascii=False).encode() + b"\n")
    return path


def _check(scored: ScoredImages, min_precision: float | None, min_recall: float | None) -> None:
    if min_precision is not None and min_recall is not None:
        raise OptionError("min_precision and min_recall contradict each other. Use one of them.")
    for name, wanted in (("min_precision", min_precision), ("min_recall", min_recall)):
        if wanted is not None and not 0 < wanted <= 1:
            raise OptionError(f"{name}={wanted!r} is not a share above 0 and up to 1.")
    if len(scored.mapping.names) != len(scored.model.labels):
        raise InvalidData("A class with several labels has no threshold. Give each class one label.")
    if len(scored.images) < _MIN_IMAGES:
        raise InvalidData(
            f"{len(scored.images)} images are too few to fit a temperature or thresholds. Use "
            f"{_MIN_IMAGES} or more."
        )
    if scored.model.thresholds and min_precision is None and min_recall is None:
        raise OptionError(
            f"The card of {shorten(scored.model.name)} has thresholds, which another temperature would make "
            "wrong. Choose new ones with min_precision or min_recall."
        )


def _choose(
    scores: NDArray[np.float32], has_label: Bools, wanted: tuple[float | None, float | None]
) -> list[tuple[float, bool]]:
    """For each label [L], its threshold, and whether it is its own or that of all labels together."""
    pooled = pool_curves(scores, has_label)
    min_precision, min_recall = wanted
    common = choose_threshold(pooled, min_precision=min_precision, min_recall=min_recall)
    if common is None:
        raise InvalidData("No threshold reaches the wanted precision, even for all labels together.")
    chosen = []
    for own_scores, own_truth in zip(scores.T, has_label.T, strict=True):
        own = choose_threshold(
            make_curve(own_scores, own_truth),
            min_precision=min_precision,
            min_recall=min_recall,
            pooled=pooled,
        )
        chosen.append((common if own is None else own, own is not None))
    return chosen


def _fit(scores: NDArray[np.float32], truth: NDArray[Any]) -> float:
    factor = fit_temperature(to_logits(scores, exclusive=truth.ndim == 1), truth)
    if not _SMALLEST < factor < _LARGEST:
        raise InvalidData(
            "No temperature can be fitted: the model is right, or wrong, about nearly all images. Use more "
            "images, and harder ones."
        )
    return factor


def _measure_ece(scores: NDArray[np.float32], truth: NDArray[Any]) -> float:
    if truth.ndim == 1:
        return bin_scores(scores.max(axis=1), scores.argmax(axis=1) == truth).expected_error
    return float(np.mean([bin_scores(s, t).expected_error for s, t in zip(scores.T, truth.T, strict=True)]))


def _measure_loss(scores: NDArray[np.float32], truth: NDArray[Any]) -> float:
    values = measure_log_loss(scores, truth) if truth.ndim == 1 else measure_label_log_loss(scores, truth)
    return float(values.mean())
