"""Collects the predictions of a base model, fits the new layer, and writes the model's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from pictag.errors import CorruptModel, EngineError, InvalidData, TeachingRejected, shorten
from pictag.evaluation.metrics_file import to_json
from pictag.models.graph_facts import find_embedding
from pictag.models.output_folder import put_in_place, staging_folder
from pictag.pipelines import ImageClassificationPipeline
from pictag.pipelines.outputs import require_output
from pictag.similarity import describe, find_cosine_cut
from pictag.teaching.examples import FILE, ExampleCollector, merge, write_examples
from pictag.teaching.held_out import summarize
from pictag.teaching.lesson import NONE_LABEL, check_labels, is_multi_label, list_labels
from pictag.teaching.model_folder import describe_base, write_model
from pictag.teaching.near_copies import find_near_copies
from pictag.teaching.problems import describe_doubtful, describe_lost, explain_rejection, list_problems

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from pathlib import Path

    from pictag.images import Failed, Source
    from pictag.options import PipelineOptions
    from pictag.records import Failure, Prediction
    from pictag.teaching.examples import Example
    from pictag.teaching.fit import Fitted
    from pictag.teaching.held_out import CrossValidation
    from pictag.teaching.lesson import Lesson

_SCHEMA = 1
_MAX_DIFFERENCE = 0.02  # of scores; an 8-bit base rounds differently when its graph ends elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """A model that was written to ``output``.

    ``images`` is the number of images of each label. ``problems`` are sentences about images that were left
    out or are doubtful, ``failures`` the images that can't be read.
    """

    output: Path
    base: str
    images: dict[str, int]
    is_multi_label: bool
    inverse_penalty: float
    temperature: float
    cross_validation: CrossValidation
    problems: tuple[str, ...]
    failures: tuple[tuple[str, Failure], ...]


def adapt_options(options: PipelineOptions) -> PipelineOptions:
    """The options with which a base is opened.

    One image at a time: larger batches are formed from what has been decoded, so they differ between runs,
    and the last digits of embeddings with them.
    """
    import pictag.teaching.fit
    import pictag.teaching.head_graph  # noqa: F401 - a missing package is reported before the images are read

    scoring = replace(options.scoring, batch_size=1)
    return replace(options, embeddings=options.embedding_output is None, scoring=scoring)


def embed_each(
    classifier: ImageClassificationPipeline[Any], sources: Iterable[Source | Failed], /, **_: object
) -> Generator[Prediction]:
    """The predictions with embeddings and fingerprints; other arguments are those of a command's run."""
    yield from classifier.stream(sources, observe=describe)


class Teacher:
    """A sink of predictions, in the order of the lesson's images; `finish` makes the model from them."""

    def __init__(self, classifier: ImageClassificationPipeline[Any], lesson: Lesson) -> None:
        self._lesson = lesson
        self._options = classifier.options
        self._base = classifier.model
        self._embedding = find_embedding(
            self._base.graph, require_output(self._base), asked=classifier.options.embedding_output
        )
        blank = classifier.preprocess(Image.new("RGB", (256, 256)))
        self._rank = classifier.engine.run(blank)[1].ndim
        self._collected = ExampleCollector(lesson.images)

    def write(self, prediction: Prediction) -> None:
        """Store one image's embedding."""
        self._collected.write(prediction)

    def close(self) -> None:
        """Nothing is open."""

    def finish(self, on_progress: Callable[[int, int], None] | None = None) -> Taught:
        """Fit the new layer, and write the model. Raises as `teach` does."""
        from pictag.teaching.fit import fit

        examples, doubtful = merge(self._lesson.known, self._collected.examples)
        try:
            check_labels([example.labels for example in examples])
        except InvalidData as error:
            if not doubtful:
                raise
            raise InvalidData(f"{error} {describe_doubtful(doubtful)}") from error
        multi_label = is_multi_label(example.labels for example in examples)
        labels = list_labels([example.labels for example in examples])
        targets = np.array([[label in example.labels for label in labels] for example in examples])
        sizes = {example.embedding.shape for example in examples}
        if len(sizes) > 1:
            raise CorruptModel(
                f"The {FILE} of {shorten(self._base.card.name)} belongs to another base: its embeddings "
                "don't have the length of this model's. Teach a new model with all images."
            )
        old = list_labels([example.labels for example in self._lesson.known])
        lost = sorted({*old} - {*labels, NONE_LABEL})
        base = describe_base(self._base)
        cut = find_cosine_cut(self._base.card.name, base.get("model"), base.get("sha256"))
        copies = find_near_copies(examples, targets, cut)
        fitted = fit(
            np.stack([example.embedding for example in examples]),
            targets,
            copies.groups,
            is_multi_label=multi_label,
            on_progress=on_progress,
        )
        found = summarize(
            fitted,
            targets,
            copies.groups,
            labels=labels,
            names=[example.name for example in examples],
            is_multi_label=multi_label,
        )
        if not found.is_better_than_chance:
            raise TeachingRejected(explain_rejection(found, is_multi_label=multi_label))
        taught = Taught(
            output=self._lesson.output,
            base=str(base.get("model")),
            images=dict(zip(labels, targets.sum(axis=0).tolist(), strict=True)),
            is_multi_label=multi_label,
            inverse_penalty=fitted.inverse_penalty,
            temperature=fitted.temperature,
            cross_validation=found,
            problems=(
                *self._lesson.problems,
                *([describe_lost(lost)] if lost else []),
                *list_problems(examples, copies.sets, doubtful, targets.sum(axis=0).tolist(), labels),
            ),
            failures=tuple(self._collected.failures),
        )
        self._write(taught, fitted, examples)
        return taught

    def _write(self, taught: Taught, fitted: Fitted, examples: Sequence[Example]) -> None:
        labels = tuple(taught.images)
        with staging_folder(taught.output) as staging:
            folder = staging / "model"
            folder.mkdir()
            write_model(
                folder,
                base=self._base,
                embedding=self._embedding,
                rank=self._rank,
                head=fitted.head,
                labels=labels,
                is_multi_label=taught.is_multi_label,
                teaching={
                    "schema": _SCHEMA,
                    "kind": f"{'multi' if taught.is_multi_label else 'single'}_label_classification",
                    "images": len(examples),
                    "labels": taught.images,
                    "inverse_penalty": taught.inverse_penalty,
                    "temperature": round(taught.temperature, 6),
                    # Names of images belong to examples.npz, which can be deleted.
                    "cross_validation": to_json(replace(taught.cross_validation, worst=()), digits=6),
                },
            )
            write_examples(folder / FILE, examples)
            self._compare(folder, fitted, is_multi_label=taught.is_multi_label)
            put_in_place(folder, taught.output)

    def _compare(self, folder: Path, fitted: Fitted, *, is_multi_label: bool) -> None:
        """Raise `EngineError` if the written model's scores differ from those of the fitted layer."""
        from pictag.teaching.fit import activate

        samples = self._collected.samples
        options = replace(
            self._options,
            model=folder,
            revision=None,
            dtype="auto",
            model_file=None,
            output=None,
            output_name=None,
            embeddings=False,
            embedding_output=None,
            scoring=replace(self._options.scoring, all_scores=True),
        )
        with ImageClassificationPipeline[Any].open(options) as classifier:
            for prediction, (_, example) in zip(
                classifier.stream(image.source for image, _ in samples), samples, strict=True
            ):
                logits = fitted.head.apply(example.embedding[None].astype(np.float64))
                expected = activate(logits, is_multi_label=is_multi_label)
                if prediction.scores is None:
                    continue  # the file was deleted meanwhile
                difference = float(np.abs(prediction.scores - expected[0]).max())
                if not difference <= _MAX_DIFFERENCE:
                    raise EngineError(
                        f"The new model's scores for {shorten(example.name)} differ from those of the fitted "
                        f"layer by {difference:.3f}, so nothing was written. Use another base."
                    )
