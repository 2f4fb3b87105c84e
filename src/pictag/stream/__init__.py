"""Many pictures through the line, in order and in bounded memory; each core decodes and runs its own."""

from pictag.stream.lanes import Outcome, attempt, run_one
from pictag.stream.line import run_line
from pictag.stream.tuning import Tuning

__all__ = ["Outcome", "Tuning", "attempt", "run_line", "run_one"]
