"""Single submissions: every future ends, and nothing is decoded or run needlessly."""

from __future__ import annotations

import contextlib
import gc
import itertools
import threading
import time
import weakref
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.numberrunner import (
    describe,
    infer_number,
    load_number,
    make_pixels,
    make_sources,
    number_runner,
)
from pictag.errors import DeadlineExceeded
from pictag.execution import BatchSizer, Executor
from pictag.images import Source, make_source

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from numpy.typing import NDArray

    from pictag.execution import Outcome


class Gate:
    """Holds every call until it is opened; ``entered`` is released once per call that arrived."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.entered = threading.Semaphore(0)

    def hold(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def held(argument: Any) -> Any:
            self.entered.release()
            assert self.opened.wait(60)
            return step(argument)

        return held

    def wait_for(self, calls: int) -> None:
        for _ in range(calls):
            assert self.entered.acquire(timeout=60)


def test_an_outcome_has_the_scores_the_embedding_the_observation_and_the_times() -> None:
    seen = []

    def load(source: Source) -> NDArray[np.float32]:
        seen.append(threading.current_thread().name)
        return load_number(source)

    _, runner = number_runner(on_load=load)
    with Executor(workers=1) as executor:
        outcome = executor.submit(runner, make_source("5.png")).result(30)
    assert outcome.source == "5.png"
    assert outcome.error is None
    assert outcome.logits is not None
    assert outcome.embedding is not None
    assert (outcome.logits.tolist(), outcome.embedding.tolist()) == ([[5]], [[10]])
    assert outcome.observed == "saw 5.png"
    assert seen == ["pictag-worker-0"]
    assert min(outcome.timing.waited_s, outcome.timing.decode_s, outcome.timing.run_s) >= 0


@given(st.lists(st.integers(1, 7), min_size=1, max_size=12), st.integers(1, 9), st.integers(1, 3))
def test_several_tensors_of_one_source_come_back_together(
    counts: list[int], batch_size: int, workers: int
) -> None:
    recorded, runner = number_runner(batch_sizer=BatchSizer((batch_size,)))
    arrays = [make_pixels(*range(index, index + count)) for index, count in enumerate(counts)]
    with Executor(workers=workers) as executor:
        futures = [executor.submit(runner, array) for array in arrays]
        outcomes = [future.result(30) for future in futures]
    for index, (outcome, count) in enumerate(zip(outcomes, counts, strict=True)):
        assert outcome.logits is not None
        assert outcome.logits[:, 0].tolist() == list(range(index, index + count))
    # A source isn't split here, but several are only run together within the batch size.
    assert all(shape[0] <= batch_size or shape[0] in counts for shape in recorded.runs)


def test_images_of_one_shape_and_one_model_run_together() -> None:
    gate = Gate()
    first, one = number_runner(on_infer=gate.hold(infer_number), batch_sizer=BatchSizer((8,)))
    second, other = number_runner(batch_sizer=BatchSizer((8,)))
    with Executor(workers=1) as executor:
        futures = [executor.submit(one, make_pixels(0))]
        gate.wait_for(1)  # the rest arrives during this run
        for number in range(3):
            futures.append(executor.submit(one, make_pixels(number, side=1)))
            futures.append(executor.submit(one, make_pixels(number, side=2)))
            futures.append(executor.submit(other, make_pixels(number, side=1)))
        gate.opened.set()
        for future in futures:
            future.result(30)
    assert sorted(first.runs) == [(1, 3, 1, 1), (3, 3, 1, 1), (3, 3, 2, 2)]
    assert second.runs == [(3, 3, 1, 1)]


def test_max_batch_bounds_the_batch_size_of_every_model() -> None:
    gate = Gate()
    recorded, runner = number_runner(on_infer=gate.hold(infer_number), batch_sizer=BatchSizer((8,)))
    with Executor(workers=1, max_batch=2) as executor:
        futures = [executor.submit(runner, make_pixels(number)) for number in range(7)]
        gate.opened.set()
        assert [describe(future.result(30)) for future in futures] == list(range(7))
    assert max(shape[0] for shape in recorded.runs) == 2


def test_max_concurrency_bounds_the_runs_of_a_model_while_others_go_on() -> None:
    gate = Gate()
    alone, runner = number_runner(
        on_infer=gate.hold(infer_number), max_concurrency=1, batch_sizer=BatchSizer((1,))
    )
    _, other = number_runner()
    with Executor(workers=3) as executor:
        futures = [executor.submit(runner, make_pixels(number)) for number in range(3)]
        gate.wait_for(1)
        assert describe(executor.submit(other, make_pixels(9)).result(30)) == 9
        assert len(alone.runs) == 1
        gate.opened.set()
        assert [describe(future.result(30)) for future in futures] == [0, 1, 2]


def test_two_images_at_once_get_a_worker_each() -> None:
    together = threading.Barrier(2)

    def load(source: Source) -> NDArray[np.float32]:
        together.wait(30)
        return load_number(source)

    _, quick = number_runner()
    _, runner = number_runner(on_load=load)
    with Executor(workers=2) as executor:
        executor.submit(quick, make_pixels(0)).result(30)  # so that one worker is idle
        futures = [executor.submit(runner, Source(name=f"{n}.png", kind="bytes", value=b"")) for n in (1, 2)]
        assert [describe(future.result(30)) for future in futures] == [1, 2]


@pytest.mark.parametrize("item", [make_source("1.png"), make_pixels(1)], ids=["source", "pixels"])
def test_an_expired_image_is_neither_decoded_nor_run(item: Any) -> None:
    recorded, runner = number_runner()
    with Executor(workers=1) as executor:
        outcome = executor.submit(runner, item, deadline_s=time.monotonic() - 1).result(30)
        assert describe(executor.submit(runner, item, deadline_s=time.monotonic() + 60).result(30)) == 1
    assert isinstance(outcome.error, DeadlineExceeded)
    assert len(recorded.runs) == 1
    assert len(recorded.loaded) == isinstance(item, Source)


def test_an_image_that_expires_while_it_is_decoded_is_not_run() -> None:
    deadline_s = time.monotonic() + 0.05

    def load(source: Source) -> NDArray[np.float32]:
        while time.monotonic() < deadline_s:
            time.sleep(0.001)
        return load_number(source)

    recorded, runner = number_runner(on_load=load)
    with Executor(workers=1) as executor:
        outcome = executor.submit(runner, make_source("1.png"), deadline_s=deadline_s).result(30)
    assert isinstance(outcome.error, DeadlineExceeded)
    assert recorded.runs == []


def test_a_cancelled_image_is_skipped() -> None:
    gate = Gate()
    recorded, runner = number_runner(on_infer=gate.hold(infer_number), batch_sizer=BatchSizer((8,)))
    with Executor(workers=1) as executor:
        first = executor.submit(runner, make_pixels(0))
        gate.wait_for(1)
        futures = [executor.submit(runner, make_pixels(number)) for number in (1, 2, 3)]
        assert futures[1].cancel()
        executor.cancel(futures[2])
        assert executor.queued == 2
        gate.opened.set()
        assert [describe(future.result(30)) for future in (first, futures[0])] == [0, 1]
    assert futures[2].cancelled()
    assert [shape[0] for shape in recorded.runs] == [1, 1]


def test_a_decoded_image_can_be_cancelled_until_it_is_run() -> None:
    gate = Gate()
    recorded, runner = number_runner(
        on_infer=gate.hold(infer_number), max_concurrency=1, batch_sizer=BatchSizer((1,))
    )
    with Executor(workers=2) as executor:
        first = executor.submit(runner, make_pixels(0))
        gate.wait_for(1)
        decoded = executor.submit(runner, make_source("1.png"))
        while not recorded.loaded or not executor.queued:
            time.sleep(0.001)
        assert not decoded.cancel(), "it has been decoded"
        executor.cancel(decoded)
        with pytest.raises(CancelledError):
            decoded.result(30)
        gate.opened.set()
        assert describe(first.result(30)) == 0
    assert len(recorded.runs) == 1


def submit_all_kinds(executor: Executor, runner: Any) -> list[Future[Outcome]]:
    items: list[Any] = []
    for number in range(0, 60, 10):
        items += [
            make_source(f"{number}.png"),
            make_source(f"https://example.org/{number}.png"),
            Source(name=f"{number}.png", kind="bytes", value=b""),
            make_pixels(number),
        ]
    return [executor.submit(runner, item) for item in items]


@pytest.mark.parametrize("held", ["on_read", "on_load", "on_infer"])
@pytest.mark.parametrize("max_concurrency", [None, 1])
def test_every_future_ends_when_the_executor_is_closed(held: str, max_concurrency: int | None) -> None:
    gate = Gate()
    steps: dict[str, Any] = {
        "on_read": lambda source: source,
        "on_load": load_number,
        "on_infer": infer_number,
    }
    _, runner = number_runner(
        **{held: gate.hold(steps[held])}, batch_sizer=BatchSizer((2,)), max_concurrency=max_concurrency
    )
    executor = Executor(workers=2)
    futures = submit_all_kinds(executor, runner)
    gate.wait_for(1)
    opening = threading.Timer(0.1, gate.opened.set)
    opening.start()
    executor.close()
    futures += submit_all_kinds(executor, runner)
    opening.join()
    for future in futures:
        with contextlib.suppress(CancelledError):
            assert future.result(30).error is None
    assert futures[-1].cancelled()
    executor.close()


@given(st.integers(0, 30), st.integers(1, 3), st.integers(1, 4))
def test_every_future_ends_whenever_the_executor_is_closed(count: int, workers: int, batch_size: int) -> None:
    """Submitters and cancellers race with `close`."""
    _, runner = number_runner(batch_sizer=BatchSizer((batch_size,)))
    executor = Executor(workers=workers)
    futures: list[Future[Outcome]] = []

    def submit() -> None:
        for source in itertools.chain(
            make_sources(20), (make_source(f"http://a.b/{n}.png") for n in range(9))
        ):
            futures.append(executor.submit(runner, source))
            if len(futures) % 5 == 0:
                futures[-1].cancel()
            if len(futures) % 5 == 1:
                executor.cancel(futures[-1])

    submitters = [threading.Thread(target=submit) for _ in range(2)]
    for thread in submitters:
        thread.start()
    while len(futures) < count:
        time.sleep(0)
    executor.close()
    for thread in submitters:
        thread.join()
    for future in futures:
        with contextlib.suppress(CancelledError):
            future.result(30)


def test_closing_waits_for_runs_but_not_for_an_image_that_never_comes() -> None:
    silence, run = threading.Event(), Gate()
    ended = []

    def read(source: Source) -> Source:
        silence.wait(60)
        return source

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        time.sleep(1.0)  # longer than close waits for images that are being read
        ended.append("run")
        return infer_number(pixels)

    _, silent = number_runner(on_read=read)
    _, running = number_runner(on_infer=run.hold(infer))
    executor = Executor(workers=2)
    executor.submit(silent, make_source("https://example.org/0.png"))
    future = executor.submit(running, make_pixels(1))
    run.wait_for(1)
    run.opened.set()
    executor.close()
    assert ended == ["run"]
    assert describe(future.result(0)) == 1
    assert not silence.is_set(), "the reader was left waiting"
    silence.set()


def test_an_idle_executor_keeps_no_image() -> None:
    def refuse(_: Any) -> Any:
        raise ValueError("refused")

    seen: list[weakref.ref[Any]] = []
    with Executor(workers=1) as executor:
        for fields in ({}, {"on_read": refuse}, {"on_load": refuse}, {"on_infer": refuse}):
            _, runner = number_runner(**fields)
            for kind in ("file", "url", "bytes"):
                for deadline_s in (None, 0.0):
                    value = type("Value", (), {})()
                    seen.append(weakref.ref(value))
                    source = Source(name="1.png", kind=kind, value=value)
                    executor.submit(runner, source, deadline_s=deadline_s).result(30)
                    del value, source
        seen.append(weakref.ref(runner))
        del runner, _
        until = time.monotonic() + 30
        while any(reference() is not None for reference in seen) and time.monotonic() < until:
            gc.collect()
            time.sleep(0.001)
        assert [reference() for reference in seen if reference() is not None] == []


def test_runs_are_reported() -> None:
    runs = []
    _, runner = number_runner()
    with Executor(workers=1, on_run=lambda *run: runs.append(run)) as executor:
        executor.submit(runner, make_pixels(1, 2)).result(30)
    ((reported, count, seconds),) = runs
    assert (reported, count) == (runner, 2)
    assert seconds >= 0
