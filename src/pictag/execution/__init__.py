"""The one implementation of "read, decode, preprocess, batch, run, retry": for one image, many, and a server.

`ModelRunner` has the steps of one model. `Executor` runs them for many images, one worker per core; `run_one`
runs them for one image in the caller's thread.
"""

from __future__ import annotations

from pictag.execution.batch_size import BatchSizer
from pictag.execution.executor import Executor
from pictag.execution.model_runner import ModelRunner
from pictag.execution.outcome import Outcome, Timing
from pictag.execution.single import run_one

__all__ = ["BatchSizer", "Executor", "ModelRunner", "Outcome", "Timing", "run_one"]
