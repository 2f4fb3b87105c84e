"""Many images through the line, in order and in bounded memory; each core decodes and runs its own."""

from pictag.stream.executor import Outcome, capture_error, run_one
from pictag.stream.run import run_stream
from pictag.stream.tuning import Tuning

__all__ = ["Outcome", "Tuning", "capture_error", "run_one", "run_stream"]
