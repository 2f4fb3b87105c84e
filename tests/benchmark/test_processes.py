from __future__ import annotations

import os
import pickle
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pictag import errors
from pictag.benchmark.processes import run_task
from pictag.benchmark.tasks import ModelTask
from pictag.images import Source
from pictag.options import PipelineOptions, ScoringOptions
from tinymodel import make_image, make_tiny_model


@pytest.fixture
def task(tmp_path: Path) -> ModelTask:
    image = make_image(tmp_path / "red.png")
    return ModelTask(
        options=PipelineOptions(
            model=make_tiny_model(tmp_path / "model"), engine="onnxruntime", dtype="fp32"
        ),
        images=(Source(name=str(image), kind="file", value=str(image)),),
        step_s=0.01,
    )


@pytest.fixture
def endless(task: ModelTask) -> Iterator[Any]:
    """The updates of a measurement that goes on for a minute; the first has arrived."""
    updates = run_task(replace(task, step_s=60))
    assert next(updates).next_step == "end to end"
    yield updates
    updates.close()


def worker_of(updates: Any) -> Any:
    return updates.gi_frame.f_locals["worker"]


def test_every_update_has_the_results_so_far_and_the_next_step(task: ModelTask) -> None:
    *before, last = run_task(task)
    assert [update.next_step for update in before][:3] == [
        "end to end", "one image at a time", "inference, batch 1"
    ]  # fmt: skip
    assert before[0].result.end_to_end_per_s is None
    assert last.next_step is None
    result = last.result
    assert (result.dtype, result.weights) == ("fp32", "onnx/model.onnx")
    assert result.end_to_end_per_s
    assert result.latency
    assert result.latency.count >= 3
    assert [rate.batch_size for rate in result.inference] == [1, 1, 4]


def test_a_given_batch_size_is_measured(task: ModelTask) -> None:
    options = replace(task.options, scoring=ScoringOptions(batch_size=3))
    *_, last = run_task(replace(task, options=options))
    assert [rate.batch_size for rate in last.result.inference] == [1, 3]


def test_an_error_in_the_process_is_raised_in_the_parent(task: ModelTask) -> None:
    (Path(str(task.options.model)) / "onnx" / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(errors.InvalidModel):
        list(run_task(task))


def test_an_image_that_fails_later_ends_the_measurement(task: ModelTask) -> None:
    updates = run_task(replace(task, step_s=1))
    next(updates)
    Path(task.images[0].value).unlink()
    with pytest.raises(errors.PictagError, match="the file doesn't exist"):
        list(updates)


@pytest.mark.parametrize("kind", [k for k in vars(errors).values() if isinstance(k, type)])
def test_every_error_can_be_sent_between_processes(kind: type[Exception]) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(error) is kind
    assert str(error) == "what happened"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_killed_process_is_an_error_that_names_the_signal(endless: Any) -> None:
    os.kill(worker_of(endless).pid, signal.SIGKILL)
    with pytest.raises(errors.EngineError, match=r"ended by SIGKILL\. It may have run out of memory"):
        list(endless)


def test_a_crash_is_an_error_with_the_last_line_of_stderr(task: ModelTask) -> None:
    with pytest.raises(errors.EngineError, match="status 1: TypeError: "):
        list(run_task(replace(task, images=None)))  # type: ignore[arg-type]  # to make it crash


def test_closing_the_iterator_ends_the_process(endless: Any) -> None:
    worker = worker_of(endless)
    assert worker.poll() is None
    endless.close()
    assert worker.poll() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_process_ignores_ctrl_c(task: ModelTask) -> None:
    updates = run_task(replace(task, step_s=0.1))
    next(updates)
    os.kill(worker_of(updates).pid, signal.SIGINT)
    *_, last = updates
    assert last.result.inference


def test_files_in_the_current_directory_are_not_imported(
    task: ModelTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('not mine')")
    monkeypatch.chdir(tmp_path)
    assert next(run_task(task)).result.weights
