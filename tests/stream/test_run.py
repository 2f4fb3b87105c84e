"""The line: order, isolation and bounds hold whatever the batch size, the threads and the luck."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.errors import CorruptImage, EngineError, ImageNotFound, PipelineClosed
from pictag.images import Failed, Source, make_source
from pictag.stream import Outcome, Tuning, run_stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def make_sources(count: int) -> list[Source]:
    return [make_source(f"{index}.png") for index in range(count)]


def load_number(source: Source) -> NDArray[np.float32]:
    """An image of one pixel that holds the number in its name; every tenth is corrupt."""
    number = int(source.name.removesuffix(".png"))
    time.sleep(random.random() / 2000)
    if number % 10 == 7:
        raise CorruptImage(f"{source.name} is corrupt")
    side = 2 if number % 5 == 3 else 1
    return np.full((3, side, side), number, np.float32)


def infer_number(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return pixels[:, :1, 0, 0]


def fix(batch_size: int, workers: int) -> Tuning:
    return Tuning(batch_sizes=(batch_size,), workers=workers, cores=workers)


def describe(outcome: Outcome) -> tuple[str, float | str]:
    if outcome.logits is None:
        return outcome.source, type(outcome.error).__name__
    return outcome.source, float(outcome.logits[0])


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 4))
def test_order_batches_and_threads_never_change_a_result(count: int, batch_size: int, threads: int) -> None:
    outcomes = run_stream(
        make_sources(count), load=load_number, infer=infer_number, tuning=fix(batch_size, threads)
    )
    assert [describe(o) for o in outcomes] == [
        (f"{n}.png", "CorruptImage" if n % 10 == 7 else float(n)) for n in range(count)
    ]


def test_what_could_not_be_found_keeps_its_place() -> None:
    missing = Failed(name="x.png", error=ImageNotFound("x.png is not there"))
    sources: list[Source | Failed] = [*make_sources(1), missing, make_source("2.png")]
    outcomes = list(run_stream(sources, load=load_number, infer=infer_number, tuning=fix(4, 2)))
    assert [describe(o) for o in outcomes] == [("0.png", 0.0), ("x.png", "ImageNotFound"), ("2.png", 2.0)]
    assert outcomes[1].error is missing.error


def test_one_image_that_breaks_the_run_fails_alone() -> None:
    runs = []
    all_read = threading.Event()

    def sources() -> Iterator[Source]:
        yield from make_sources(4)
        all_read.set()

    def load(source: Source) -> NDArray[np.float32]:
        all_read.wait(10)  # so that the three that follow the first make a batch
        return np.full((3, 1, 1), int(source.name[0]), np.float32)

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        runs.append(len(pixels))
        if (pixels == 2).any():
            raise EngineError("overflow")
        return infer_number(pixels)

    outcomes = run_stream(sources(), load=load, infer=infer, tuning=fix(3, 1))
    assert [describe(o)[1] for o in outcomes] == [0.0, 1.0, "EngineError", 3.0]
    assert runs == [1, 3, 1, 1, 1]


def test_sources_are_read_lazily_within_the_window() -> None:
    read = []

    def endless() -> Iterator[Source]:
        for number in range(10**9):
            read.append(number)
            yield make_source(f"{number * 10}.png")

    tuning = fix(4, 2)
    outcomes = run_stream(endless(), load=load_number, infer=infer_number, tuning=tuning)
    for _ in range(100):
        next(outcomes)
    assert len(read) <= 100 + tuning.window
    outcomes.close()  # type: ignore[attr-defined]


def test_when_reading_fails_what_was_read_is_finished_first() -> None:
    def broken() -> Iterator[Source]:
        yield from make_sources(3)
        raise OSError("the list of images ended in the middle")

    outcomes = run_stream(broken(), load=load_number, infer=infer_number, tuning=fix(8, 2))
    assert [next(outcomes).source for _ in range(3)] == ["0.png", "1.png", "2.png"]
    with pytest.raises(OSError, match="ended in the middle"):
        next(outcomes)


def test_threads_end_with_the_run_even_when_it_is_left_early() -> None:
    outcomes = run_stream(make_sources(50), load=load_number, infer=infer_number, tuning=fix(2, 4))
    next(outcomes)
    assert any(t.name.startswith("pictag-worker") for t in threading.enumerate())
    outcomes.close()  # type: ignore[attr-defined]
    assert not any(t.name.startswith("pictag-worker") for t in threading.enumerate())


def test_leaving_early_does_not_wait_for_an_image_that_never_comes() -> None:
    silent = threading.Event()

    def load(source: Source) -> NDArray[np.float32]:
        if source.name != "0.png":
            silent.wait(20)
        return load_number(source)

    outcomes = run_stream(make_sources(9), load=load, infer=infer_number, tuning=fix(1, 2))
    next(outcomes)
    begun = time.monotonic()
    outcomes.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begun < 5
    assert all(t.daemon for t in threading.enumerate() if t.name.startswith("pictag-worker"))
    silent.set()


def test_an_exit_in_a_loading_thread_reaches_the_caller() -> None:
    def load(source: Source) -> NDArray[np.float32]:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        next(run_stream(make_sources(1), load=load, infer=infer_number, tuning=fix(1, 1)))


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_source_that_is_slow_does_not_hold_back_what_is_loaded(batch_size: int) -> None:
    read = 0

    def frames() -> Iterator[Source]:
        nonlocal read
        while True:
            time.sleep(0.02)
            read += 1
            yield make_source(f"{10 * read}.png")

    outcomes = run_stream(frames(), load=load_number, infer=infer_number, tuning=fix(batch_size, 16))
    for had in range(1, 3 * batch_size):
        next(outcomes)
        assert read - had <= 2 * batch_size, "it waits for images that are not needed"
    outcomes.close()  # type: ignore[attr-defined]


def test_a_closed_pipeline_ends_the_run_instead_of_failing_every_image() -> None:
    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        raise PipelineClosed("closed")

    with pytest.raises(PipelineClosed):
        list(run_stream(make_sources(5), load=load_number, infer=infer, tuning=fix(2, 2)))


def test_a_defect_in_loading_is_kept_as_the_error_it_is() -> None:
    def load(source: Source) -> NDArray[np.float32]:
        raise ZeroDivisionError("a defect")

    (outcome,) = run_stream(make_sources(1), load=load, infer=infer_number, tuning=fix(1, 1))
    assert isinstance(outcome.error, ZeroDivisionError)


def test_images_from_urls_get_more_workers_where_the_cores_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pictag.stream.tuning._LOOK_AFTER_S", 0.01)
    seen = set()

    def load(source: Source) -> NDArray[np.float32]:
        seen.add(threading.current_thread().name)
        time.sleep(0.005)  # the server takes its time
        return np.zeros((3, 1, 1), np.float32)

    for address, workers in (("{}.png", 2), ("https://example.org/{}.png", 8)):
        seen.clear()
        tuning = Tuning(batch_sizes=(1,), cores=2)
        sources = [make_source(address.format(number)) for number in range(200)]
        assert len(list(run_stream(sources, load=load, infer=infer_number, tuning=tuning))) == 200
        assert len(seen) == tuning.workers == workers


def test_what_is_read_ahead_waits_for_a_core_before_it_is_decoded_and_run() -> None:
    core, lock = threading.Semaphore(2), threading.Lock()
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.001)
        with lock:
            inside -= 1

    def read(source: Source) -> Source:
        return make_source(f"{10 * int(source.name)}.png")

    def load(source: Source) -> NDArray[np.float32]:
        work()
        return load_number(source)

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        work()
        return infer_number(pixels)

    sources = [Source(name=str(number), kind="bytes", value=b"") for number in range(40)]
    outcomes = list(
        run_stream(sources, read=read, load=load, infer=infer, compute_slots=core, tuning=fix(2, 6))
    )
    assert [describe(o) for o in outcomes] == [(f"{10 * n}.png", 10.0 * n) for n in range(40)]
    assert most <= 2


def test_what_cannot_be_read_fails_alone() -> None:
    def read(source: Source) -> Source:
        if source.name == "3.png":
            raise ImageNotFound("3.png is not there")
        return source

    outcomes = list(
        run_stream(make_sources(6), read=read, load=load_number, infer=infer_number, tuning=fix(2, 2))
    )
    assert [describe(o)[1] for o in outcomes] == [0.0, 1.0, 2.0, "ImageNotFound", 4.0, 5.0]
