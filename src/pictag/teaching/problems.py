"""Sentences about doubtful images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.errors import list_some, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pictag.teaching.examples import Example
    from pictag.teaching.held_out import CrossValidation

_IMBALANCE = 10
_LARGE_SHARE = 0.8  # of the largest class: few images of the others can hardly be better than that


def explain_rejection(found: CrossValidation, *, is_multi_label: bool) -> str:
    """Why nothing was written."""
    figure = found.figure
    what, chance = (
        ("area under the ROC curve", "0.5, which is chance")
        if is_multi_label
        else ("accuracy", f"{found.chance:.1%}, the share of the largest class")
    )
    advice = "Check the labels, add images, or use another base."
    if not is_multi_label and found.chance > _LARGE_SHARE:
        advice = "Add images of the other labels, or leave out some of the largest class."
    return (
        f"The labels can't be told apart reliably: in cross-validation, the {what} is {figure.value:.1%}, "
        f"and the lower end of its 95 % interval, {figure.low:.1%}, isn't above {chance}. Nothing was "
        f"written. {advice}"
    )


def list_problems(
    examples: Sequence[Example],
    copies: Sequence[Sequence[int]],
    doubtful: Sequence[str],
    counts: Sequence[int],
    labels: Sequence[str],
) -> list[str]:
    """Sentences about images that were left out, near copies with different labels, and rare labels."""
    problems = []
    if doubtful:
        problems.append(describe_doubtful(doubtful))
    mixed = [
        f"{shorten(examples[first].name, 60)} and {shorten(examples[other].name, 60)}"
        for first, *others in copies
        for other in others
        if set(examples[first].labels) != set(examples[other].labels)
    ]
    if mixed:
        problems.append(
            f"{len(mixed)} pair{'' if len(mixed) == 1 else 's'} of near copies with different labels: "
            f"{list_some(mixed)}."
        )
    least, most = min(counts), max(counts)
    if most >= _IMBALANCE * least:
        rare, common = labels[counts.index(least)], labels[counts.index(most)]
        problems.append(
            f"{shorten(repr(rare), 60)} has {least:,} images and {shorten(repr(common), 60)} {most:,}. "
            "Labels with few images are found less often; add images of them."
        )
    return problems


def describe_doubtful(names: Sequence[str]) -> str:
    """Which images are left out because nothing says which of their labels is right."""
    return (
        f"{len(names)} images are left out, because files with the same pixels have different labels: "
        f"{list_some(names)}."
    )


def describe_lost(labels: Sequence[str]) -> str:
    """Which labels an updated model no longer has."""
    shown = list_some([shorten(repr(label), 60) for label in labels])
    return f"The new model lacks labels of the old one, because no image has them any more: {shown}."
