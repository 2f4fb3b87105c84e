"""Models are loaded once, shared, unloaded and replaced while in use."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pictag.errors import ModelNotFound
from pictag.images import make_source
from pictag.options import PipelineOptions
from pictag.server import registry as registry_module
from pictag.server import served_model
from pictag.server.dispatch import Dispatcher
from pictag.server.http_errors import ModelNotServed, NotReady
from pictag.server.prometheus import Metrics
from pictag.server.registry import Registry
from pictag.server.served_model import ModelSpec
from pictag.server.settings import ServerSettings
from recording import Recorder, encode_image, open_recorded, recorder_of
from tinymodel import make_tiny_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from pictag.server.served_model import ServedModel


class Opening:
    """Opens models with recorders and counts the attempts."""

    def __init__(self) -> None:
        self.opened: list[Recorder] = []
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def __call__(self, spec: ModelSpec) -> ServedModel:
        self.asked += 1
        assert self.gate.wait(60)
        if self.error is not None:
            raise self.error
        served = open_recorded(spec)
        self.opened.append(recorder_of(served))
        return served


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> list[ModelSpec]:
    folder = tmp_path_factory.mktemp("models")
    return [
        ModelSpec(name=name, options=PipelineOptions(model=make_tiny_model(folder / name, size=size)))
        for name, size in (("org/one", 8), ("two", 8), ("three", 8))
    ]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.002)


def weights_of(spec: ModelSpec) -> int:
    return (Path(str(spec.options.model)) / "onnx/model.onnx").stat().st_size


def test_names_are_in_order_and_the_first_is_the_default(specs: list[ModelSpec]) -> None:
    registry = Registry(specs)
    assert registry.names() == ("org/one", "two", "three")
    assert registry.default == "org/one"
    assert registry.describe("two").state == "unloaded"
    with pytest.raises(ModelNotServed, match=r"Unknown model: '\.\./etc'"):
        registry.describe("../etc")


@pytest.mark.parametrize("specs_given", [[], [ModelSpec(name="a", options=PipelineOptions())] * 2])
def test_a_registry_needs_models_with_different_names(specs_given: list[ModelSpec]) -> None:
    with pytest.raises(ValueError, match="model"):
        Registry(specs_given)


def test_two_hundred_concurrent_requests_load_a_model_once(specs: list[ModelSpec]) -> None:
    opening = Opening()
    registry = Registry(specs, open_model=opening)

    async def use() -> object:
        async with registry.use("org/one") as served:
            return served

    async def main() -> None:
        opening.gate.clear()
        tasks = [asyncio.create_task(use()) for _ in range(200)]
        await asyncio.sleep(0)
        tasks[0].cancel()  # must not end the load for the others
        await until(lambda: opening.asked == 1)
        assert registry.describe("org/one").state == "loading"
        opening.gate.set()
        found = await asyncio.gather(*tasks[1:])
        assert len(set(map(id, found))) == 1
        status = registry.describe("org/one")
        assert (status.state, status.labels) == ("ready", ("red", "green", "blue"))
        await registry.close()

    asyncio.run(main())
    assert opening.asked == 1
    assert opening.opened[0].is_closed


def test_a_failed_load_is_reported_to_all_and_repeated_after_a_pause(specs: list[ModelSpec]) -> None:
    opening = Opening()
    registry = Registry(specs, open_model=opening)

    async def use() -> None:
        async with registry.use("two"):
            pass

    async def main() -> None:
        opening.error = ModelNotFound("There is no such folder.")
        found = await asyncio.gather(*(use() for _ in range(50)), return_exceptions=True)
        assert {type(error) for error in found} == {ModelNotFound}
        assert opening.asked == 1
        with pytest.raises(ModelNotFound):
            await use()
        assert opening.asked == 1  # still in the pause
        status = registry.describe("two")
        assert (status.state, status.error) == ("failed", "There is no such folder.")
        entry = registry._slots["two"]
        first_backoff_s = entry.backoff_s
        entry.retry_at = time.monotonic()  # the pause is over
        with pytest.raises(ModelNotFound):
            await use()
        assert opening.asked == 2
        assert entry.backoff_s > first_backoff_s
        opening.error = None
        entry.retry_at = time.monotonic()
        await use()
        assert registry.describe("two").state == "ready"
        assert registry.describe("two").error is None
        await registry.close()

    asyncio.run(main())


def test_preloading_tries_all_models_before_it_reports_a_failure(specs: list[ModelSpec]) -> None:
    opening = Opening()

    async def main() -> None:
        registry = Registry(specs, open_model=opening, preload=True)
        await registry.start()
        assert [registry.describe(name).state for name in registry.names()] == ["ready"] * 3
        await registry.close()
        broken = ModelSpec(name="broken", options=PipelineOptions(model="/nowhere/at/all"))
        registry = Registry([specs[0], broken, specs[1]], preload=True)
        with pytest.raises(ModelNotFound):
            await registry.start()
        states = [registry.describe(name).state for name in registry.names()]
        assert states == ["ready", "failed", "ready"]
        await registry.close()

    asyncio.run(main())


def test_a_memory_budget_unloads_the_least_recently_used_models_that_are_idle(
    specs: list[ModelSpec],
) -> None:
    opening = Opening()
    registry = Registry(specs, open_model=opening, memory_budget_bytes=2 * weights_of(specs[0]))

    def states() -> list[str]:
        return [registry.describe(name).state for name in registry.names()]

    async def main() -> None:
        async with registry.use("org/one") as one:
            async with registry.use("two"):
                pass
            async with registry.use("three"):
                # A model in use stays, even if it was used less recently.
                assert states() == ["ready", "unloaded", "ready"]
                async with registry.use("two"):  # all are in use, so the budget is exceeded
                    assert states() == ["ready", "ready", "ready"]
                    assert not any(recorder.is_closed for recorder in opening.opened[2:])
                assert states() == ["ready", "unloaded", "ready"]
            pixel_values, _ = one.runner.load(make_source(encode_image()))
            assert one.runner.infer(pixel_values)[0].shape == (1, 3)
        await registry.close()
        assert all(recorder.is_closed for recorder in opening.opened)

    asyncio.run(main())


def test_an_idle_model_is_unloaded_after_a_while(specs: list[ModelSpec]) -> None:
    opening = Opening()
    registry = Registry(specs, open_model=opening, idle_s=0.05)

    async def main() -> None:
        async with registry.use("two"):
            async with registry.use("three"):
                pass
            await until(lambda: opening.opened[1].is_closed)
            assert registry.describe("three").state == "unloaded"
            assert registry.describe("two").state == "ready"  # because it is in use
        await until(lambda: opening.opened[0].is_closed)
        async with registry.use("two"):
            assert len(opening.opened) == 3
        await registry.close()

    asyncio.run(main())


def test_replacing_a_model_loses_no_requests(specs: list[ModelSpec]) -> None:
    opening = Opening()
    registry = Registry(specs, open_model=opening)
    red = encode_image()

    async def main() -> None:
        dispatcher = Dispatcher(ServerSettings(threads=2, max_batch=4), metrics=Metrics())
        answers = 0
        stopped = False

        async def ask() -> None:
            nonlocal answers
            while not stopped:
                async with registry.use("org/one") as served:
                    outcome = await dispatcher.classify(served, red, deadline_s=time.monotonic() + 60)
                    assert outcome.logits is not None
                    assert outcome.logits.argmax() == 0
                    answers += 1

        clients = [asyncio.create_task(ask()) for _ in range(8)]
        await until(lambda: answers > 8)
        for _ in range(5):
            before = answers
            await registry.reload()
            await until(lambda before=before: answers > before + 8)  # type: ignore[misc]
        stopped = True
        await asyncio.gather(*clients)
        await until(lambda: all(recorder.is_closed for recorder in opening.opened[:-1]))
        assert not opening.opened[-1].is_closed
        assert sum(sum(recorder.batches) for recorder in opening.opened) == answers
        dispatcher.close()
        await registry.close()

    asyncio.run(main())
    assert len(opening.opened) == 6


def test_a_reload_replaces_loaded_models_and_keeps_them_if_it_fails(specs: list[ModelSpec]) -> None:
    opening = Opening()

    async def main() -> None:
        registry = Registry(specs, open_model=opening)
        for name in ("org/one", "three"):
            async with registry.use(name):
                pass
        before = [registry.peek(name) for name in registry.names()]
        await registry.reload()
        after = [registry.peek(name) for name in registry.names()]
        assert opening.asked == 4
        assert [now is None for now in after] == [
            False,
            True,
            False,
        ]  # models that were not loaded still aren't
        assert all(now is not was or now is None for now, was in zip(after, before, strict=True))
        opening.error = ModelNotFound("gone")
        await registry.reload()
        assert [registry.peek(name) for name in registry.names()] == after
        assert registry.describe("three").state == "ready"
        assert registry.describe("three").error is None
        await registry.close()

    asyncio.run(main())


def test_a_failed_model_takes_requests_again_after_the_pause(
    specs: list[ModelSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a load balancer would never send the request that loads it."""
    opening, now = Opening(), [1000.0]
    for module in (registry_module, served_model):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def main() -> None:
        registry = Registry(specs, open_model=opening)
        opening.error = ModelNotFound("the Hub is away")
        with pytest.raises(ModelNotFound):
            async with registry.use("two"):
                pass
        assert registry.describe("two").state == "failed"
        assert not registry.describe("two").takes_requests
        now[0] += 1.1
        assert registry.describe("two").state == "unloaded"
        assert registry.describe("two").takes_requests
        await registry.close()

    asyncio.run(main())


def test_a_model_is_not_ready_during_its_first_load_but_during_later_ones(specs: list[ModelSpec]) -> None:
    opening = Opening()

    async def main() -> None:
        registry = Registry(specs, open_model=opening, idle_s=0.01)
        for expected in (False, True):
            opening.gate.clear()
            use = asyncio.create_task(use_once(registry))
            await until(lambda: registry.describe("two").state == "loading")
            assert registry.describe("two").takes_requests is expected
            opening.gate.set()
            await use
            await until(lambda: registry.describe("two").state == "unloaded")
        await registry.close()

    async def use_once(registry: Registry) -> None:
        async with registry.use("two"):
            pass

    asyncio.run(main())


def test_room_is_made_before_a_model_of_known_size_is_loaded(specs: list[ModelSpec]) -> None:
    held, most = [0], [0]

    def open_one(spec: ModelSpec) -> ServedModel:
        held[0] += 1
        most[0] = max(most[0], held[0])
        served = open_recorded(spec)
        recorder = recorder_of(served)
        close = recorder.close

        def note() -> None:
            held[0] -= 1
            close()

        recorder.close = note  # type: ignore[method-assign]
        return served

    async def use_all(registry: Registry) -> None:
        for name in registry.names():
            async with registry.use(name):
                pass

    async def main() -> None:
        registry = Registry(specs, open_model=open_one, memory_budget_bytes=weights_of(specs[0]) + 100)
        await use_all(registry)
        assert most[0] == 2  # one loaded model, and one of unknown size
        most[0] = 0
        for _ in range(3):
            await use_all(registry)
        assert most[0] == 1
        await registry.close()

    asyncio.run(main())


def test_closing_the_registry_fails_requests_that_wait_for_a_model(specs: list[ModelSpec]) -> None:
    opening = Opening()
    registry = Registry(specs, open_model=opening)

    async def use() -> None:
        async with registry.use("two"):
            pass

    async def main() -> None:
        opening.gate.clear()
        waiting = asyncio.create_task(use())
        await until(lambda: opening.asked == 1)
        await registry.close()
        with pytest.raises(NotReady):
            await waiting
        with pytest.raises(NotReady):
            await use()
        opening.gate.set()

    asyncio.run(main())
