"""The dispatcher with real pipelines: batches, failures, deadlines and cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import re
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from images.imageserver import Server, send
from pictag.errors import DeadlineExceeded, EngineError, ImageTooLarge, NotAnImage
from pictag.images import Source, make_source
from pictag.server.dispatch import Dispatcher
from pictag.server.http_errors import BadRequest, Overloaded
from pictag.server.prometheus import Metrics
from pictag.server.settings import ServerSettings
from recording import encode_image, recorder_of, serve_recorder
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from numpy.typing import NDArray

    from pictag.execution import Outcome
    from pictag.server.served_model import ServedModel

RED, GREEN, BLUE = (encode_image(colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def served(folder: Path) -> ServedModel:
    return serve_recorder(folder)


def soon(seconds: float = 60) -> float:
    return time.monotonic() + seconds


def counted(dispatcher: Dispatcher, name: str) -> float:
    metrics: Any = dispatcher._metrics
    return sum(
        float(n)
        for n in re.findall(rf"^pictag_{name}_total(?:{{.*}})? (\S+)$", metrics.render().decode(), re.M)
    )


@contextlib.asynccontextmanager
async def dispatching(*, workers: int = 1, **limits: Any) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(ServerSettings(threads=workers, **limits), metrics=Metrics())
    try:
        yield dispatcher
    finally:
        await until(lambda: dispatcher.queued + dispatcher.running == 0)
        dispatcher.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


async def begin(dispatcher: Dispatcher, served: ServedModel, *images: bytes) -> list[asyncio.Task[Any]]:
    """Start a task for each image and let all of them be admitted."""
    tasks = [asyncio.create_task(dispatcher.classify(served, image, deadline_s=soon())) for image in images]
    await asyncio.sleep(0)
    return tasks


async def occupy(dispatcher: Dispatcher, served: ServedModel, *, workers: int = 1) -> list[asyncio.Task[Any]]:
    """Let every worker start a run that is paused."""
    runs = len(recorder_of(served).batches)
    tasks = [
        asyncio.create_task(dispatcher.infer(served, pixels(0), deadline_s=soon())) for _ in range(workers)
    ]
    await until(lambda: len(recorder_of(served).batches) == runs + workers)
    return tasks


def best(outcome: Outcome) -> int:
    """The index of the best label."""
    assert outcome.logits is not None
    return int(outcome.logits.argmax())


def pixels(value: float) -> NDArray[np.float32]:
    return np.full((1, 3, 8, 8), value, np.float32)


def test_an_image_gets_the_logits_of_the_pipeline(served: ServedModel) -> None:
    async def main() -> None:
        async with dispatching() as dispatcher:
            outcome = await dispatcher.classify(served, GREEN, deadline_s=soon())
            assert outcome.logits is not None
            assert outcome.logits.shape == (1, 3)
            assert served.runner.model.labels[best(outcome)] == "green"
            assert (dispatcher.queued, dispatcher.running) == (0, 0)

    asyncio.run(main())


def test_an_idle_worker_takes_an_image_at_once_and_alone(served: ServedModel) -> None:
    recorder = recorder_of(served)
    beside = threading.Barrier(2)

    def wait_for_the_other_run(_: NDArray[Any]) -> None:
        beside.wait(30)  # only passes if two runs are concurrent

    recorder.before_run = wait_for_the_other_run

    async def main() -> None:
        async with dispatching(workers=2) as dispatcher:
            await asyncio.gather(*await begin(dispatcher, served, RED, BLUE))
            await asyncio.gather(
                *(dispatcher.infer(served, pixels(value), deadline_s=soon()) for value in (0.1, 0.2))
            )

    asyncio.run(main())
    assert recorder.batches == [1, 1, 1, 1]


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_form_while_all_workers_are_busy(folder: Path, workers: int) -> None:
    served = serve_recorder(folder, together=4)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching(workers=workers) as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served, workers=workers)
                tasks = await begin(dispatcher, served, *[RED, GREEN, BLUE, RED] * workers)
                assert dispatcher.queued == 4 * workers
            answers = await asyncio.gather(*tasks)
            await asyncio.gather(*busy)
            assert [best(outcome) for outcome in answers] == [0, 1, 2, 0] * workers

    asyncio.run(main())
    assert recorder.batches[:workers] == [1] * workers
    assert sum(recorder.batches) == 5 * workers
    assert max(recorder.batches) > 1


@pytest.mark.parametrize(("together", "max_batch"), [(8, 4), (4, 8)])
def test_tensors_are_batched_up_to_the_models_batch_size_and_the_limit(
    folder: Path, together: int, max_batch: int
) -> None:
    served = serve_recorder(folder, together=together)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching(max_batch=max_batch) as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                tasks = [
                    asyncio.create_task(dispatcher.infer(served, pixels(n / 10), deadline_s=soon()))
                    for n in range(6)
                ]
                await asyncio.sleep(0)
            for n, outcome in enumerate(await asyncio.gather(*tasks)):
                assert outcome.logits == pytest.approx(np.full((1, 3), n / 5), abs=1e-5)
            await asyncio.gather(*busy)

    asyncio.run(main())
    assert recorder.batches == [1, 4, 2]


def test_a_gpu_runs_one_batch_at_a_time_while_the_next_one_forms(folder: Path) -> None:
    served = serve_recorder(folder, together=8, max_concurrency=1)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching(workers=3) as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                tasks = await begin(dispatcher, served, RED, GREEN, BLUE)
                await until(lambda: len(recorder.decoded) == 3 and dispatcher.queued == 3)
            await asyncio.gather(*tasks, *busy)

    asyncio.run(main())
    assert recorder.batches == [1, 3]


def test_models_and_sizes_are_never_mixed_in_one_run(folder: Path, tmp_path: Path) -> None:
    one, other = serve_recorder(folder), serve_recorder(make_tiny_model(tmp_path, size=4))

    async def main() -> None:
        async with dispatching() as dispatcher:
            with recorder_of(one).held():
                busy = await occupy(dispatcher, one)
                tasks = [t for _ in range(3) for s in (one, other) for t in await begin(dispatcher, s, GREEN)]
            assert {best(await task) for task in tasks} == {1}
            await asyncio.gather(*busy)

    asyncio.run(main())
    assert sum(recorder_of(one).batches) == 4
    assert sum(recorder_of(other).batches) == 3


def test_an_invalid_image_never_enters_a_batch(folder: Path) -> None:
    served = serve_recorder(folder, together=4)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching() as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                tasks = await begin(dispatcher, served, RED, b"no image at all", GREEN, BLUE)
            found: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
            red, bad, green, blue = found
            assert isinstance(bad, NotAnImage)
            assert [best(good) for good in (red, green, blue)] == [0, 1, 2]
            await asyncio.gather(*busy)

    asyncio.run(main())
    assert recorder.batches == [1, 3]


def test_a_failing_image_in_a_batch_fails_alone(folder: Path) -> None:
    served = serve_recorder(folder, together=4)
    recorder = recorder_of(served)

    def refuse_green(pixel_values: NDArray[Any]) -> None:
        if (pixel_values[:, 1] > 0.5).any():
            raise EngineError("no green")

    recorder.before_run = refuse_green

    async def main() -> None:
        async with dispatching() as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                tasks = await begin(dispatcher, served, RED, GREEN, BLUE)
                await asyncio.sleep(0)
            found: list[Any] = await asyncio.gather(*tasks, return_exceptions=True)
            red, green, blue = found
            assert isinstance(green, EngineError)
            assert (best(red), best(blue)) == (0, 2)
            await asyncio.gather(*busy)
            assert counted(dispatcher, "executions") == 3

    asyncio.run(main())
    assert recorder.batches == [1, 3, 1, 1, 1]


def test_the_error_of_an_image_and_thereby_the_image_are_released_at_once(served: ServedModel) -> None:
    async def main() -> None:
        async with dispatching() as dispatcher:
            released = threading.Event()
            try:
                await dispatcher.classify(served, b"no image at all", deadline_s=soon())
            except NotAnImage as error:
                weakref.finalize(error, released.set)
            await until(released.is_set)

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_an_unexpected_error_in_a_worker_is_reported_and_the_worker_continues(served: ServedModel) -> None:
    recorder = recorder_of(served)

    def break_once(_: NDArray[Any]) -> None:
        recorder.before_run = lambda _: None
        raise KeyboardInterrupt

    recorder.before_run = break_once

    async def main() -> None:
        async with dispatching() as dispatcher:
            with pytest.raises(RuntimeError, match="KeyboardInterrupt"):
                await dispatcher.classify(served, RED, deadline_s=soon())
            assert best(await dispatcher.classify(served, RED, deadline_s=soon())) == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("reason", "limits"),
    [
        ("count", {"max_queue": 3}),
        ("bytes", {"max_queued_bytes": 768 + 3 * len(RED) - 1}),
        ("pixels", {"max_queued_pixels": 12 * 9 * 3 - 1}),
    ],
)
def test_images_above_a_limit_are_rejected_at_once(
    served: ServedModel, reason: str, limits: dict[str, int]
) -> None:
    async def main() -> None:
        async with dispatching(**limits) as dispatcher:
            with recorder_of(served).held():
                busy = await occupy(dispatcher, served)
                tasks = await begin(dispatcher, served, RED, RED)
                with pytest.raises(Overloaded) as refused:  # the worker is paused
                    await dispatcher.classify(served, RED, deadline_s=soon())
                assert refused.value.reason == reason
                assert refused.value.retry_after_s >= 0
            await asyncio.gather(*busy, *tasks)
            # There is room again:
            assert best(await dispatcher.classify(served, RED, deadline_s=soon())) == 0

    asyncio.run(main())


def test_an_image_that_would_miss_its_deadline_is_rejected_at_once(served: ServedModel) -> None:
    recorder = recorder_of(served)
    recorder.before_run = lambda _: time.sleep(0.05)

    async def main() -> None:
        async with dispatching() as dispatcher:
            await dispatcher.classify(served, RED, deadline_s=soon())
            with recorder.held():
                busy = await occupy(dispatcher, served)
                patient = await begin(dispatcher, served, *[RED] * 10)
                with pytest.raises(Overloaded) as refused:
                    await dispatcher.classify(served, RED, deadline_s=soon(0.2))
                assert refused.value.reason == "wait"
                assert 0.2 < refused.value.retry_after_s < 30
            await asyncio.gather(*busy, *patient)

    asyncio.run(main())


def test_expired_work_fails_at_its_deadline_and_is_never_done(served: ServedModel) -> None:
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching() as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                late = [dispatcher.classify(served, GREEN, deadline_s=soon(0.05)) for _ in range(5)]
                late += [dispatcher.infer(served, pixels(1), deadline_s=soon(0.05))]
                late += [dispatcher.classify(served, GREEN, deadline_s=soon(-1))]
                found = await asyncio.gather(*late, return_exceptions=True)
                assert [type(error) for error in found] == [DeadlineExceeded] * 7
                assert dispatcher.queued == 0
                assert counted(dispatcher, "expired") == 6
            await asyncio.gather(*busy)

    asyncio.run(main())
    assert recorder.decoded == []
    assert recorder.batches == [1]


def test_abandoned_work_is_never_done(folder: Path) -> None:
    served = serve_recorder(folder, together=4)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching() as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                tasks = await begin(dispatcher, served, *[GREEN] * 6, RED, *[GREEN] * 3)
                for task in (*tasks[:6], *tasks[7:]):
                    task.cancel()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert dispatcher.queued == 1
                assert counted(dispatcher, "abandoned") == 9
            assert best(await tasks[6]) == 0
            await asyncio.gather(*busy)

    asyncio.run(main())
    assert recorder.decoded == [(255, 0, 0)]
    assert recorder.batches == [1, 1]


def test_an_image_abandoned_after_decoding_is_not_run(folder: Path) -> None:
    served = serve_recorder(folder, max_concurrency=1)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching(workers=2) as dispatcher:
            with recorder.held():
                busy = await occupy(dispatcher, served)
                left, stays = await begin(dispatcher, served, RED, GREEN)
                await until(lambda: len(recorder.decoded) == 2 and dispatcher.queued == 2)
                left.cancel()
                await asyncio.sleep(0)
            await asyncio.gather(stays, *busy)

    asyncio.run(main())
    assert recorder.batches == [1, 1]


def test_five_hundred_cancelled_requests_leave_nothing_behind(served: ServedModel) -> None:
    def count_descriptors() -> int:
        descriptors = Path("/proc/self/fd")
        return len(list(descriptors.iterdir())) if descriptors.exists() else 0

    async def main() -> None:
        async with dispatching(workers=2, max_queue=1000) as dispatcher:
            with recorder_of(served).held():
                busy = await occupy(dispatcher, served, workers=2)  # starts both workers
            await asyncio.gather(*busy)
            before = (len(asyncio.all_tasks()), threading.active_count(), count_descriptors())
            for round_ in range(10):
                tasks = await begin(dispatcher, served, *[GREEN] * 50)
                await asyncio.sleep(0.001 * round_)  # some wait, some are decoded or run
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await until(lambda: dispatcher._admission.count == 0)
            assert (dispatcher.queued, dispatcher.running) == (0, 0)
            assert (len(asyncio.all_tasks()), threading.active_count(), count_descriptors()) == before
            assert best(await dispatcher.classify(served, RED, deadline_s=soon())) == 0

    asyncio.run(main())


def test_when_it_is_closed_waiting_images_fail_and_runs_are_finished(folder: Path) -> None:
    served = serve_recorder(folder, max_concurrency=1)
    recorder = recorder_of(served)

    async def main() -> None:
        async with dispatching(workers=2) as dispatcher:
            with recorder.held():
                (busy,) = await occupy(dispatcher, served)
                tasks = await begin(dispatcher, served, *[RED] * 20)
                await until(lambda: len(recorder.decoded) == 4)  # enough for the next runs
                threading.Timer(0.1, recorder.gate.set).start()
                dispatcher.close()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert {getattr(error, "reason", None) for error in found} == {"stopping"}
            assert best(await busy) == 0
            with pytest.raises(Overloaded, match="stopping"):
                await dispatcher.classify(served, RED, deadline_s=soon())

    asyncio.run(main())
    assert recorder.batches == [1]


def test_images_with_too_many_pixels_are_rejected_by_their_header(served: ServedModel) -> None:
    huge = RED[:16] + (65_535).to_bytes(4, "big") * 2 + RED[24:]

    async def main() -> None:
        async with dispatching() as dispatcher:
            with pytest.raises(ImageTooLarge, match="65535×65535"):
                await dispatcher.classify(served, huge, deadline_s=soon())

    asyncio.run(main())
    assert recorder_of(served).decoded == []


def test_a_thin_image_that_resizing_would_enlarge_beyond_the_limit_is_rejected(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path, size=224)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    settings |= {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 224},
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    served = serve_recorder(folder)

    async def main() -> None:
        async with dispatching() as dispatcher:
            for size in ((30_000, 1), (1, 30_000), (3000, 2)):
                with pytest.raises(ImageTooLarge, match="resized"):
                    await dispatcher.classify(served, encode_image(size=size), deadline_s=soon())
            assert recorder_of(served).batches == []
            wide = encode_image((0, 255, 0), size=(3000, 20))
            assert best(await dispatcher.classify(served, wide, deadline_s=soon())) == 1

    asyncio.run(main())


def test_clients_cannot_make_the_server_open_files_or_urls(served: ServedModel, tmp_path: Path) -> None:
    path = tmp_path / "red.png"
    path.write_bytes(RED)

    async def main() -> None:
        async with dispatching() as dispatcher:
            for source in (make_source(path), Source(name="x", kind="url", value="http://127.0.0.1:1/")):
                with pytest.raises(BadRequest):
                    await dispatcher.classify(served, source, deadline_s=soon())

    asyncio.run(main())


def test_a_url_is_fetched_if_urls_are_allowed(served: ServedModel) -> None:
    async def main(server: Server) -> None:
        async with dispatching(allow_urls=True, allow_private_urls=True) as dispatcher:
            source = Source(name="url", kind="url", value=server.url("/green.png"))
            assert best(await dispatcher.classify(served, source, deadline_s=soon())) == 1
            with pytest.raises(DeadlineExceeded):
                await dispatcher.classify(served, source, deadline_s=time.monotonic())

    with Server({"/green.png": send(GREEN)}, "127.0.0.1") as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            asyncio.run(main(server))
        finally:
            server.shutdown()
            thread.join()
    assert len(server.asked) == 1
