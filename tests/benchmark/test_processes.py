from __future__ import annotations

import os
import pickle
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pictag import errors
from pictag.benchmark.jobs import Began, Broke, Found, LimitJob, ModelChoice, ModelJob
from pictag.benchmark.processes import run_job
from pictag.images import Source
from pictag.models.reference import parse_reference
from tinymodel import make_image, make_tiny_model


@pytest.fixture
def job(tmp_path: Path) -> ModelJob:
    image = make_image(tmp_path / "red.png")
    return ModelJob(
        model=ModelChoice(
            reference=parse_reference(make_tiny_model(tmp_path / "model")),
            engine="onnxruntime",
            dtype="fp32",
            cache_dir=None,
            device="cpu",
        ),
        images=(Source(name=str(image), kind="file", value=str(image)),),
        decode="exact",
        batch_size=None,
        step_s=0.01,
    )


def worker_of(messages: Any) -> Any:
    """The process behind a job that is under way."""
    return messages.gi_frame.f_locals["worker"]


def test_steps_and_what_they_find_come_in_turn(job: ModelJob) -> None:
    messages = list(run_job(job))
    steps = [message.step for message in messages if isinstance(message, Began)]
    assert steps == ["start", "whole line", "one image at a time", "inference", "counting multiply-adds"]
    found: dict[str, Any] = {}
    for message in messages:
        found |= message.values if isinstance(message, Found) else {}
    assert (found["dtype"], found["weights"]) == ("fp32", "onnx/model.onnx")
    assert found["end_to_end_per_s"] > 1
    assert [rate.batch_size for rate in found["inference"]] == [1, 1, 4]
    assert found["latency"].count >= 3
    assert found["work"].multiply_adds == 9


def test_a_batch_size_that_was_asked_for_is_the_one_that_is_measured(job: ModelJob) -> None:
    found = [m.values["inference"] for m in run_job(replace(job, batch_size=3)) if isinstance(m, Found)
             and "inference" in m.values]  # fmt: skip
    assert [rate.batch_size for rate in found[-1]] == [1, 3]


def test_an_error_of_ours_arrives_as_it_was_raised(job: ModelJob) -> None:
    assert job.model.reference.path is not None
    (job.model.reference.path / "onnx" / "model.onnx").write_bytes(b"no graph")
    *_, last = run_job(job)
    assert isinstance(last, Broke)
    assert isinstance(last.error, errors.InvalidModel)


def test_an_image_that_fails_later_ends_the_job(job: ModelJob) -> None:
    messages = run_job(job)
    for message in messages:
        if message == Began(step="whole line"):
            Path(job.images[0].value).unlink()
            break
    *_, last = messages
    assert isinstance(last, Broke)
    assert "no such file" in str(last.error)


@pytest.mark.parametrize("kind", [k for k in vars(errors).values() if isinstance(k, type)])
def test_every_error_can_travel_between_processes(kind: type[Exception]) -> None:
    error = pickle.loads(pickle.dumps(kind("what happened")))
    assert type(error) is kind
    assert str(error) == "what happened"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_process_that_is_killed_is_an_error_that_says_so() -> None:
    messages = run_job(LimitJob(step_s=60))
    assert isinstance(next(messages), Began)
    os.kill(worker_of(messages).pid, signal.SIGKILL)
    (last,) = messages
    assert isinstance(last, Broke)
    assert "ended by SIGKILL; perhaps there was not enough memory" in str(last.error)


def test_a_process_that_breaks_down_is_an_error_with_its_last_words() -> None:
    nonsense: Any = LimitJob(step_s="a while")  # type: ignore[arg-type]
    *_, last = run_job(nonsense)
    assert isinstance(last, Broke)
    assert "status 1: TypeError: " in str(last.error)


def test_who_stops_listening_ends_the_process() -> None:
    messages = run_job(LimitJob(step_s=60))
    next(messages)
    worker = worker_of(messages)
    assert worker.poll() is None
    messages.close()
    assert worker.poll() is not None


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_ctrl_c_in_a_terminal_is_left_to_the_parent() -> None:
    messages = run_job(LimitJob(step_s=0.3))
    next(messages)
    os.kill(worker_of(messages).pid, signal.SIGINT)
    assert [set(m.values) for m in messages if isinstance(m, Found)] == [{"float32"}, {"int8"}]


def test_files_where_the_user_stands_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit('not mine')")
    monkeypatch.chdir(tmp_path)
    messages = run_job(LimitJob(step_s=0.01))
    assert isinstance(next(messages), Began)
    messages.close()
