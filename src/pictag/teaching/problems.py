"""Sentences about doubtful images and labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.errors import list_some, shorten

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pictag.teaching.examples import Example
    from pictag.teaching.held_out import CrossValidation

_IMBALANCE = 10


def explain_rejection(found: CrossValidation, *, is_multi_label: bool) -> str:
    """Why nothing was written."""
    figure = found.figure
    what, chance = (
        ("area under the ROC curve", "0.5, which is chance")
        if is_multi_label
        else ("accuracy", f"{found.chance:.1%}, the share of the largest class")
    )
    return (
        f"The labels can't be told apart reliably: in cross-validation, the {what} is {figure.value:.1%}, "
        f"and the lower end of its 95 % interval, {figure.low:.1%}, isn't above {chance}. Nothing was "
        "written. Check the labels, add images, or use another base."
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
        problems.append(
            f"{len(doubtful)} images are left out, because files with the same pixels have different labels: "
            f"{list_some(doubtful)}."
        )
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
