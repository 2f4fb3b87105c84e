"""Streams: order, isolation and bounds hold whatever the batch size and the number of threads."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execution.numberrunner import (
    describe,
    infer_number,
    load_number,
    make_pixels,
    make_sources,
    number_of,
    number_runner,
)
from pictag.errors import EngineError, ImageNotFound, PipelineClosed
from pictag.execution import BatchSizer, Executor
from pictag.images import Failed, Source, make_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray


def list_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(("pictag-worker", "pictag-reader"))]


@given(
    st.integers(0, 60),
    st.integers(1, 9),
    st.integers(1, 4),
    st.sampled_from(["{}.png", "https://a.b/{}.png"]),
)
def test_order_batches_and_threads_never_change_a_result(
    count: int, batch_size: int, workers: int, address: str
) -> None:
    _, runner = number_runner(batch_sizer=BatchSizer((batch_size,)))
    names = [address.format(number) for number in range(count)]
    with Executor(workers=workers) as executor:
        outcomes = list(executor.stream(runner, map(make_source, names)))
    assert [outcome.source for outcome in outcomes] == names
    assert [describe(o) for o in outcomes] == ["CorruptImage" if n % 10 == 7 else n for n in range(count)]


def test_if_the_system_refuses_further_threads_those_that_run_do_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, runner = number_runner()
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if not thread.name.endswith("-0"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with Executor(workers=4) as executor:
        assert [describe(o) for o in executor.stream(runner, make_sources(5))] == [0, 1, 2, 3, 4]


def test_an_input_that_was_not_found_keeps_its_place() -> None:
    _, runner = number_runner()
    missing = Failed(name="x.png", error=ImageNotFound("x.png is not there"))
    with Executor(workers=2) as executor:
        outcomes = list(executor.stream(runner, [make_source("0.png"), missing, make_source("2.png")]))
    assert [describe(o) for o in outcomes] == [0, "ImageNotFound", 2]
    assert outcomes[1].error is missing.error


def test_an_image_that_breaks_its_batch_fails_alone() -> None:
    all_read = threading.Event()

    def sources() -> Iterator[Source]:
        yield from make_sources(4)
        all_read.set()

    def load(source: Source) -> NDArray[np.float32]:
        assert all_read.wait(10)  # so that those that follow the first make a batch
        return make_pixels(number_of(source))

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        if (pixels == 2).any():
            raise EngineError("overflow")
        return infer_number(pixels)

    recorded, runner = number_runner(on_load=load, on_infer=infer, batch_sizer=BatchSizer((3,)))
    with Executor(workers=1) as executor:
        outcomes = list(executor.stream(runner, sources()))
    assert [describe(o) for o in outcomes] == [0, 1, "EngineError", 3]
    # The reader may still have the last image when the worker takes its batch.
    assert [shape[0] for shape in recorded.runs] in ([1, 3, 1, 1, 1], [1, 2, 1, 1, 1])


def test_a_file_that_cannot_be_read_fails_alone() -> None:
    def read(source: Source) -> Source:
        if source.name == "3.png":
            raise ImageNotFound("3.png is not there")
        return source

    recorded, runner = number_runner(on_read=read)
    with Executor(workers=2) as executor:
        outcomes = list(executor.stream(runner, make_sources(6)))
    assert [describe(o) for o in outcomes] == [0, 1, 2, "ImageNotFound", 4, 5]
    assert "3.png" not in recorded.loaded


def test_a_defect_is_kept_as_the_error_it_is() -> None:
    def load(source: Source) -> NDArray[np.float32]:
        raise ZeroDivisionError("a defect")

    _, runner = number_runner(on_load=load)
    with Executor(workers=1) as executor:
        (outcome,) = executor.stream(runner, make_sources(1))
    assert isinstance(outcome.error, ZeroDivisionError)


@pytest.mark.parametrize("step", ["on_read", "on_load", "on_infer"])
def test_an_exit_in_a_thread_reaches_the_caller_and_the_thread_continues(step: str) -> None:
    def leave(_: object) -> None:
        raise SystemExit(3)

    _, leaving = number_runner(**{step: leave})
    _, staying = number_runner()
    with Executor(workers=1) as executor:
        with pytest.raises(SystemExit):
            next(executor.stream(leaving, make_sources(1)))
        assert describe(next(executor.stream(staying, make_sources(1)))) == 0


def test_sources_are_read_lazily_within_the_window() -> None:
    read = []

    def endless() -> Iterator[Source]:
        for number in itertools.count():
            read.append(number)
            yield make_source(f"{number * 10}.png")

    _, runner = number_runner(batch_sizer=BatchSizer((4,)))
    with Executor(workers=2) as executor:
        outcomes = executor.stream(runner, endless())
        for _ in range(100):
            next(outcomes)
        assert len(read) <= 100 + 2 * (2 * 4 + 1) + 1  # two batches per worker, one image each, one reader


@pytest.mark.parametrize("batch_size", [1, 3])
def test_slow_sources_do_not_hold_back_finished_images(batch_size: int) -> None:
    had = 0
    _, runner = number_runner(batch_sizer=BatchSizer((batch_size,)))

    def frames() -> Iterator[Source]:
        for number in itertools.count():
            finished.wait(10)
            finished.clear()
            assert number - had <= 2, "it waits for images that are not needed"
            yield make_source(f"{10 * number}.png")

    finished = threading.Event()
    finished.set()
    with Executor(workers=16, on_run=lambda *_: finished.set()) as executor:
        outcomes = executor.stream(runner, frames())
        for _ in range(20):
            next(outcomes)
            had += 1


def test_images_read_before_the_sources_fail_are_finished_first() -> None:
    def broken() -> Iterator[Source]:
        yield from make_sources(3)
        raise OSError("the list of images ended in the middle")

    _, runner = number_runner()
    with Executor(workers=2) as executor:
        outcomes = executor.stream(runner, broken())
        assert [next(outcomes).source for _ in range(3)] == ["0.png", "1.png", "2.png"]
        with pytest.raises(OSError, match="ended in the middle"):
            next(outcomes)


def test_a_closed_model_ends_the_stream_instead_of_failing_every_image() -> None:
    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        raise PipelineClosed("closed")

    _, runner = number_runner(on_infer=infer)
    with Executor(workers=2) as executor, pytest.raises(PipelineClosed):
        list(executor.stream(runner, make_sources(5)))


@pytest.mark.parametrize("interruption", [GeneratorExit, KeyboardInterrupt])
def test_no_thread_outlives_an_interrupted_stream(interruption: type[BaseException]) -> None:
    _, runner = number_runner(batch_sizer=BatchSizer((2,)))

    def outcomes() -> Iterator[object]:
        with Executor(workers=4) as executor:
            yield from executor.stream(runner, map(make_source, [f"http://a.b/{n}0.png" for n in range(50)]))

    before = list_threads()
    stream = outcomes()
    next(stream)
    assert list_threads() != before
    with pytest.raises(interruption):
        stream.throw(interruption)  # type: ignore[attr-defined]
    assert list_threads() == before


def test_urls_have_readers_that_wait_side_by_side_and_files_have_one() -> None:
    together = threading.Barrier(8)

    def read(source: Source) -> Source:
        together.wait(30)  # broken, and so an error, if fewer read at once
        return source

    _, runner = number_runner(on_read=read)
    with Executor(workers=2) as executor:
        urls = [make_source(f"https://example.org/{number * 10}.png") for number in range(16)]
        assert [describe(o) for o in executor.stream(runner, urls)] == [n * 10 for n in range(16)]
    seen = set()

    def read_file(source: Source) -> Source:
        seen.add(threading.current_thread())
        return source

    _, runner = number_runner(on_read=read_file)
    with Executor(workers=2) as executor:
        list(executor.stream(runner, make_sources(50)))
    assert len(seen) == 1


def test_files_do_not_wait_for_a_slow_server() -> None:
    answer = threading.Event()

    def read(source: Source) -> Source:
        assert source.kind == "file" or answer.wait(30)
        return source

    _, runner = number_runner(on_read=read)
    with Executor(workers=1) as executor:
        slow = executor.submit(runner, make_source("https://example.org/0.png"))
        files = [executor.submit(runner, source) for source in make_sources(4)]
        assert [describe(future.result(30)) for future in files] == [0, 1, 2, 3]
        assert not slow.done()
        answer.set()
        assert describe(slow.result(30)) == 0


def test_no_more_images_are_decoded_and_run_at_once_than_there_are_workers() -> None:
    lock = threading.Lock()
    inside = most = 0

    def enter() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)

    def leave() -> None:
        nonlocal inside
        with lock:
            inside -= 1

    def load(source: Source) -> NDArray[np.float32]:
        enter()
        pixels = load_number(source)
        leave()
        return pixels

    def infer(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        enter()
        logits = infer_number(pixels)
        leave()
        return logits

    _, runner = number_runner(on_load=load, on_infer=infer)
    with Executor(workers=2) as executor:
        urls = [make_source(f"https://example.org/{number * 10}.png") for number in range(60)]
        assert len(list(executor.stream(runner, urls))) == 60
    assert most <= 2
