"""Evaluation: metrics against scikit-learn, and what calibration does on images that weren't used for it."""

from __future__ import annotations

import itertools
import tarfile
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.figures import SHARED, Figure, Options, print_progress, require_shared
from benchmarks.keyword_cuts import iterate_held_out
from pictag import pipeline
from pictag.errors import MissingExtra, ModelNotFound
from pictag.evaluation import LabelledData, ScoreCollector, ScoredImages, describe_model, read_labelled
from pictag.evaluation.calibration_error import (
    bin_scores,
    measure_brier,
    measure_label_brier,
    measure_label_log_loss,
    measure_log_loss,
)
from pictag.evaluation.fitting import fit_card
from pictag.evaluation.metrics import count_classes, count_labels, rank_truth
from pictag.evaluation.ranking import make_curve
from pictag.evaluation.temperature import apply_temperature

# Models, and how many held-out images of Tiny ImageNet they get.
MODELS = {
    "embedded": 5000,
    "efficientnet-lite0": 2000,
    str(SHARED / "models" / "mobilenet_v2"): 2000,
    str(SHARED / "models" / "mobilenet_v1_0.25_128"): 2000,
}
ROUNDS = 200
CALIBRATED = 0.03


def run(options: Options) -> list[Figure]:
    figures = [_compare_metrics(10 if options.quick else ROUNDS)]
    if not require_shared():
        return figures
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        most = 600 if options.quick else max(MODELS.values())
        for number, (content, wordnet_id) in enumerate(itertools.islice(iterate_held_out(), most)):
            path = folder / f"{number:04}.jpg"
            path.write_bytes(content)
            with (folder / "labels.csv").open("a") as table:
                table.write(f"{path.name},{wordnet_id}\n")
        data = read_labelled(folder / "labels.csv")
        insects = folder / "insects"
        with tarfile.open(SHARED / "datasets" / "ants-bees.tar.xz") as archive:
            archive.extractall(insects, filter="data")
        (insects / "classes.csv").write_text("ants,ant\nbees,bee\n")
        for model, count in MODELS.items():
            try:
                figures += _calibrate(model, data, count)
                if model != "embedded":  # which doesn't know ants
                    figures.append(_transfer(model, insects))
            except (MissingExtra, ModelNotFound) as error:
                print_progress(f"{model} is left out: {error}")
    return figures


def _score(model: str, data: LabelledData, *, how: Path | None = None) -> ScoredImages:
    with pipeline(model=model) as classifier:
        collector = ScoreCollector(data, describe_model(classifier.model), how=how)
        sources = [image.source for image in data.images]
        for prediction in classifier.stream(sources, top_k=1, all_scores=True):
            collector.write(prediction)
    return collector.finish()


def _calibrate(model: str, data: LabelledData, count: int) -> list[Figure]:
    step = max(len(data.images) // count, 1)
    scored = _score(model, replace(data, images=data.images[::step][:count]))
    fitted = fit_card(scored)
    before, after = fitted.ece
    calibrated = apply_temperature(
        scored.scores, fitted.temperature / scored.model.temperature, exclusive=True
    )
    same = float((calibrated.argmax(axis=1) == scored.scores.argmax(axis=1)).mean())
    name = Path(model).name
    return [
        Figure(
            name=f"calibrate, {name}: calibration error after",
            measured=after, target=max(before / 2, CALIBRATED), unit="",
            detail=f"{before:.3f} before; {fitted.images:,} images of Tiny ImageNet, each fifth measured "
            f"with the temperature of the others; temperature {fitted.temperature:.3f}",
        ),
        Figure(
            name=f"calibrate, {name}: share of best labels that stay", measured=same, target=1.0, unit="",
            more=True,
        ),
    ]  # fmt: skip


def _transfer(model: str, folder: Path) -> Figure:
    """The temperature of one split, used for another."""
    scored = [
        _score(model, read_labelled(folder, split=split), how=folder / "classes.csv")
        for split in ("train", "val")
    ]
    temperature = fit_card(scored[0]).temperature / scored[0].model.temperature
    truth, before = scored[1].truth, scored[1].scores
    after = apply_temperature(before, temperature, exclusive=True)
    errors = [bin_scores(s.max(axis=1), s.argmax(axis=1) == truth).expected_error for s in (before, after)]
    return Figure(
        name=f"calibrate, {Path(model).name}: calibration error on another split",
        measured=errors[1], target=max(errors[0] / 2, CALIBRATED), unit="",
        detail=f"{errors[0]:.3f} before; {len(truth)} photographs of ants and bees, fitted on "
        f"{len(scored[0].truth)} others; temperature {temperature:.3f}",
    )  # fmt: skip


def _compare_metrics(rounds: int) -> Figure:
    """The largest difference of any metric from scikit-learn's, on random and tied scores."""
    from sklearn import metrics as reference
    from sklearn.calibration import calibration_curve

    largest = 0.0
    compared = 0

    def note(ours: object, theirs: object) -> None:
        nonlocal largest, compared
        difference = np.abs(np.nan_to_num(np.asarray(ours, np.float64)) - np.asarray(theirs, np.float64))
        largest, compared = max(largest, float(difference.max())), compared + 1

    for seed in range(rounds):
        generator = np.random.default_rng(seed)
        n, count, steps = 200, 7, (3, 1000)[seed % 2]
        scores = generator.integers(1, steps + 1, (n, count)).astype(np.float64)
        scores /= scores.sum(axis=1, keepdims=True)
        truth = generator.integers(0, count - 1, n)  # the last class is empty
        predicted, labels = scores.argmax(axis=1), np.arange(count)
        counts = count_classes(truth, predicted, class_count=count)
        for average, chosen in ((None, labels), ("macro", labels[:-1]), ("micro", labels)):
            theirs = reference.precision_recall_fscore_support(
                truth, predicted, labels=chosen, average=average, zero_division=0
            )
            for name, value in zip(("precision", "recall", "f1"), theirs, strict=False):
                note(getattr(counts, name) if average is None else getattr(counts, average)(name), value)
        for k in (1, 3, 5):
            theirs = reference.top_k_accuracy_score(count - 1 - truth, scores[:, ::-1], k=k, labels=labels)
            note((rank_truth(scores, truth) < k).mean(), theirs)
        note(measure_log_loss(scores, truth).mean(), reference.log_loss(truth, scores, labels=labels))
        note(
            measure_brier(scores, truth).mean(),
            reference.brier_score_loss(truth, scores, labels=labels, scale_by_half=False),
        )
        several = generator.random((n, count)) < 0.3
        ours = count_labels(several, scores >= 0.2)
        for average in (None, "macro", "micro"):
            theirs = reference.precision_recall_fscore_support(
                several, scores >= 0.2, average=average, zero_division=0
            )
            for name, value in zip(("precision", "recall", "f1"), theirs, strict=False):
                note(getattr(ours, name) if average is None else getattr(ours, average)(name), value)
        columns = range(count)
        note(
            measure_label_log_loss(scores, several).mean(),
            np.mean([reference.log_loss(several[:, i], scores[:, i]) for i in columns]),
        )
        note(
            measure_label_brier(scores, several).mean(),
            np.mean([reference.brier_score_loss(several[:, i], scores[:, i]) for i in columns]),
        )
        for i in columns:
            curve = make_curve(scores[:, i], several[:, i])
            note(curve.average_precision, reference.average_precision_score(several[:, i], scores[:, i]))
            precision, recall, _ = reference.precision_recall_curve(several[:, i], scores[:, i])
            note(curve.precision[::-1], precision[:-1])
            note(curve.recall[::-1], recall[:-1])
            bins = bin_scores(scores[:, i], several[:, i])
            right, mean = calibration_curve(several[:, i], scores[:, i], n_bins=15)
            note(bins.share_right[bins.counts > 0], right)
            note(bins.mean_score[bins.counts > 0], mean)
    return Figure(
        name="evaluation: largest difference from scikit-learn",
        measured=largest * 1e9, target=1.0, unit="e-9",
        detail=f"{compared:,} comparisons: top-k, precision, recall, F1, log loss, Brier, average precision, "
        "precision-recall curves, reliability bins",
    )  # fmt: skip
