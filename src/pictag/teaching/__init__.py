"""Teach a model your own labels: a new last layer on the embeddings of a base model (extra ``teach``).

>>> from pictag.teaching import teach
>>> taught = teach("photos", "my-model", base="embedded")                    # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pictag.options import PipelineOptions, check_folder
from pictag.pipelines import ImageClassificationPipeline
from pictag.teaching.held_out import Confusion, CrossValidation, LabelFigures, WorstImage
from pictag.teaching.lesson import NONE_LABEL, plan_lesson
from pictag.teaching.teacher import Taught, Teacher, adapt_options, embed_each

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pictag.evaluation import LabelledData

__all__ = [
    "NONE_LABEL",
    "Confusion",
    "CrossValidation",
    "LabelFigures",
    "Taught",
    "WorstImage",
    "teach",
]

DEFAULT_BASE = "efficientnet-lite0"


def teach(
    data: str | os.PathLike[str] | LabelledData,
    output: str | os.PathLike[str],
    *,
    base: str | os.PathLike[str] = DEFAULT_BASE,
    other: str | os.PathLike[str] | None = None,
    update: str | os.PathLike[str] | None = None,
    split: str | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    revision: str | None = None,
    dtype: str = "auto",
    model_file: str | None = None,
    engine: str = "auto",
    device: str = "cpu",
    embedding_output: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> Taught:
    """Make a model that knows your labels, from labelled images.

    The base model computes an embedding of each image, and a logistic regression is fitted to these.
    Cross-validation chooses the strength of its regularisation, and measures how often the model is right.

    Args:
        data: A folder with one folder per class, a CSV of ``path,label[;label…]``, or what
            `pictag.evaluation.read_labelled` returns. At least 2 classes with 5 images each. If an image has
            several labels, or none, the model scores each label by itself.
        output: The model folder to write.
        base: The model whose embeddings are used. Its preprocessing becomes that of the new model.
        other: A folder of images that are none of the classes; they become the label "none of these".
        update: A model that ``teach`` wrote before. The new model knows its images as well as ``data``.
            Replaces ``base``.
        split: The split of ``data`` to use, if it has several.
        overwrite: Replace an output folder that ``teach`` wrote before.
        on_progress: Called as the fit proceeds, with the steps that are done and their total number.
        revision, dtype, model_file, engine, device, embedding_output: How the base is opened, as for
            `pictag.pipeline`.
        cache_dir, local_files_only, token: As for `pictag.pipeline`.

    Raises:
        TeachingRejected: The labels can't be told apart better than by chance. Nothing is written.
        InvalidData: There are too few labels or images.
        OutputError: The output already exists or can't be written.
        MissingExtra: scikit-learn or onnx is not installed: ``pip install 'pictag[teach]'``.

    Example::

        from pictag import pipeline
        from pictag.teaching import teach

        taught = teach("photos", "my-model")
        assert taught.cross_validation.figure.low > 0.9
        classifier = pipeline(model="my-model")
    """
    lesson = plan_lesson(data, output, other=other, update=update, split=split, overwrite=overwrite)
    options = PipelineOptions(
        model=base if update is None else update,
        revision=revision,
        dtype=dtype,
        model_file=model_file,
        engine=engine,
        device=device,
        embedding_output=embedding_output,
        cache_dir=None if cache_dir is None else check_folder("cache_dir", cache_dir),
        local_files_only=local_files_only,
        token=token,
    )
    with ImageClassificationPipeline[Any].open(adapt_options(options)) as classifier:
        teacher = Teacher(classifier, lesson)
        for prediction in embed_each(classifier, (image.source for image in lesson.images)):
            teacher.write(prediction)
    return teacher.finish(on_progress)
