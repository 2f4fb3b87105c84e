"""One image, in the caller's thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.errors import PipelineClosed
from pictag.execution.outcome import Outcome, capture_error
from pictag.images import Failed

if TYPE_CHECKING:
    from pictag.execution.model_runner import ModelRunner
    from pictag.images import Source


def run_one(runner: ModelRunner, source: Source | Failed) -> Outcome:
    """Classify one source in the caller's thread. Raises `PipelineClosed`."""
    if isinstance(source, Failed):
        return Outcome(source=source.name, error=source.error)
    outcome = capture_error(_run, runner, source)
    if isinstance(outcome, PipelineClosed):
        raise outcome
    if isinstance(outcome, Outcome):
        return outcome
    return Outcome(source=source.name, error=outcome)


def _run(runner: ModelRunner, source: Source) -> Outcome:
    pixel_values, observed = runner.load(source)
    logits, *embedding = runner.infer(pixel_values)
    return Outcome(
        source=source.name, logits=logits, embedding=embedding[0] if embedding else None, observed=observed
    )
