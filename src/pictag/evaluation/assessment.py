"""Evaluate a model: all figures of one data set, each with its sample size and its interval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pictag.evaluation.figures import Evaluation
from pictag.evaluation.mapping import describe_gaps
from pictag.evaluation.multi_label import measure_labels
from pictag.evaluation.scored import NO_PREDICTION, ScoreCollector, ScoredImages, describe_model
from pictag.evaluation.single_label import measure_classes

if TYPE_CHECKING:
    from pictag.evaluation.labelled import LabelledData
    from pictag.pipelines import ImageClassificationPipeline

_FEW_IMAGES = 100
_FEW_OF_A_CLASS = 10


def evaluate(
    classifier: ImageClassificationPipeline[Any], data: LabelledData, *, how: str | Path | None = None
) -> Evaluation:
    """Classify labelled images and measure how good the results are.

    ``how`` maps classes to labels, as for `pictag.evaluation.map_classes`. Images that can't be
    read are counted apart. Raises `InvalidData` if no class is a label of the model.

    >>> import tempfile
    >>> from PIL import Image
    >>> from pictag import pipeline
    >>> from pictag.evaluation import evaluate, read_labelled
    >>> with tempfile.TemporaryDirectory() as folder, pipeline(model="embedded") as classifier:
    ...     (Path(folder) / "goldfish").mkdir()
    ...     Image.new("RGB", (64, 64), "orange").save(Path(folder) / "goldfish" / "a.png")
    ...     found = evaluate(classifier, read_labelled(folder))
    >>> found.figures["top1"].n
    1
    """
    model = describe_model(classifier.model, classifier.options.scoring)
    collector = ScoreCollector(data, model, how=how)
    sources = [image.source for image in collector.images]
    for prediction in classifier.stream(sources, top_k=1, all_scores=True):
        collector.write(prediction)
    return measure(collector.finish())


def measure(scored: ScoredImages) -> Evaluation:
    """The evaluation of scores that were collected."""
    model, data = scored.model, scored.data
    parts = measure_labels(scored) if scored.is_multi_label else measure_classes(scored)
    return Evaluation(
        kind="multi_label" if scored.is_multi_label else "single_label",
        model={
            "name": model.name,
            "labels": len(model.labels),
            "sha256": model.sha256,
            "temperature": model.temperature,
            "exclusive": model.exclusive,
        },
        data={"name": data.place.resolve().name, "split": data.split, "classes": len(data.classes)},
        failures=tuple((image.name, failure) for image, failure in scored.failures),
        skipped=len(scored.skipped),
        notes=tuple(_list_notes(scored)),
        **parts,
    )


def _list_notes(scored: ScoredImages) -> Iterator[str]:
    yield from scored.data.problems
    yield from describe_gaps(scored.mapping)
    if scored.skipped:
        yield f"Images left out because the model has no label for their class: {len(scored.skipped):,}."
    missing = sum(failure.kind == NO_PREDICTION for _, failure in scored.failures)
    if missing:
        yield f"Images without a prediction in the file: {missing:,}. Finish 'pictag classify' with --resume."
    if scored.is_multi_label and scored.model.exclusive:
        yield (
            "Some images have no label or several, so each label is judged on its own, although the model's "
            "labels exclude each other."
        )
    n, classes = len(scored.images), len(scored.judged)
    if n < _FEW_IMAGES:
        yield f"The data set is small ({n:,} images). The intervals show how uncertain the figures are."
    elif n < _FEW_OF_A_CLASS * classes:
        yield f"{n:,} images of {classes:,} classes: the figures of single classes are very uncertain."
