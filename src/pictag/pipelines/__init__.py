"""``pipeline(task, model=…)`` and the pipeline object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, overload

from pictag.errors import UnknownTask, shorten
from pictag.options import read_pipeline_options
from pictag.pipelines.classifier import ImageClassificationPipeline
from pictag.transformers_names import TASKS

if TYPE_CHECKING:
    import os
    from typing import Unpack

    from pictag.options import OpenKeywords
    from pictag.pipelines.results import LabelScore

__all__ = ["ImageClassificationPipeline", "pipeline"]

TASK = "image-classification"


@overload
def pipeline(
    task: str | None = ...,
    model: str | os.PathLike[str] | None = ...,
    *,
    top_k: Literal[1] = ...,
    always_list: Literal[False] = ...,
    **options: Unpack[OpenKeywords],
) -> ImageClassificationPipeline[LabelScore | None]: ...
@overload
def pipeline(
    task: str | None = ...,
    model: str | os.PathLike[str] | None = ...,
    *,
    top_k: int | None = ...,
    always_list: bool = ...,
    **options: Unpack[OpenKeywords],
) -> ImageClassificationPipeline[list[LabelScore]]: ...
def pipeline(
    task: str | None = TASK, model: str | os.PathLike[str] | None = None, **options: Any
) -> ImageClassificationPipeline[Any]:
    """Load a model and get an object that classifies images.

    Args:
        task: ``"image-classification"``, the only task.
        model: ``"org/name"`` or ``"org/name@revision"`` on the Hub, a folder, an ``.onnx`` file, or
            a built-in model such as ``"embedded"``; by default ``Xenova/vit-base-patch16-224``.
        **options: The fields of `pictag.options.PipelineOptions`, which says what each does, and of
            `pictag.options.ScoringOptions` as the defaults of every call.

    Raises:
        UnknownTask: for another task.
        OptionError: for an invalid option.
        MissingExtra: for an engine or a device whose packages are not installed.
        ModelError: if the model can't be found, downloaded, verified or read.

    >>> from pictag import pipeline
    >>> with pipeline("image-classification", model="embedded") as classifier:
    ...     len(classifier.labels)
    200
    """
    if task not in (TASK, None):
        hint = TASKS.get(str(task), f"pictag has one task, {TASK!r}.")
        raise UnknownTask(f"Unknown task {shorten(repr(task))}. {hint}")
    return ImageClassificationPipeline.open(read_pipeline_options({"model": model, **options}))
