"""The server under load, in seconds: what must hold on any machine. `test_soak.py` checks the targets."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from benchmarks.load_result import LoadResult
from benchmarks.serve_material import EMBEDDED, Model, draw_image, prepare_mixed
from benchmarks.serve_memory import BAD_STATUSES, Kept, run_traced
from benchmarks.serve_plan import SAME, Plan
from benchmarks.serve_process import Server, find_left_over, run_load, start_server, take_stock
from benchmarks.serve_speed import Rig, make_rig
from benchmarks.slow_clients import SlowClients

from tinymodel import make_tiny_model

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

WARM_UP, COUNT = 150, 300
MAX_KEPT_BYTES = 600 * COUNT


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    folder = tmp_path_factory.mktemp("images")
    for number in range(12):
        draw_image(folder / f"{number}.jpg", (500, 375), seed=number)
    return make_rig(EMBEDDED, list(folder.iterdir()))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(*EMBEDDED.arguments, leak_bytes=0) as server:
        yield server


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A tiny model and small images: many requests in a few seconds."""
    folder = tmp_path_factory.mktemp("tiny")
    model = Model(title="tiny", reference=str(make_tiny_model(folder / "model")), dtype="fp32")
    return make_rig(model, [one for one in prepare_mixed(folder / "good") if one.stat().st_size < 40_000])


def test_every_image_gets_its_own_labels(server: Server, rig: Rig) -> None:
    result = run_load(server, Plan(port=server.port, images=rig.images, connections=32, count=100))
    assert_no_faults(result)
    assert result.count(200) == 100
    assert result.largest_difference <= SAME


def test_overload_is_rejected_and_accepted_requests_get_one_response(server: Server, rig: Rig) -> None:
    plan = Plan(
        port=server.port, images=rig.images, rate=600, count=900, connections=900, timeout_ms=500,
        may_refuse=True,
    )  # fmt: skip
    result = run_load(server, plan)
    assert_no_faults(result)
    assert result.answered == 900
    assert result.count(429) > 0
    assert result.count(200) + result.count(429) + result.count(504) == 900


def test_slow_clients_do_not_affect_others(server: Server, rig: Rig) -> None:
    with SlowClients(server.port, 200, every_s=0.2):
        result = run_load(server, Plan(port=server.port, images=rig.images, connections=4, count=60))
        assert server.metrics()["pictag_connections"] >= 200
    assert_no_faults(result)
    assert result.count(200) == 60


def test_images_of_clients_that_left_are_not_run(server: Server, rig: Rig) -> None:
    stock, before = take_stock(server), server.metrics()
    plan = Plan(
        port=server.port, images=rig.images, rate=600, count=240, connections=900, leave_share=0.5,
        leave_within_s=0.2, may_refuse=True,
    )  # fmt: skip
    result = run_load(server, plan)
    assert_no_faults(result)
    assert result.left > 60
    assert not find_left_over(server, stock)
    after = server.metrics()
    run, abandoned = (
        after[f"pictag_{name}_total"] - before.get(f"pictag_{name}_total", 0)
        for name in ("inferences", "abandoned")
    )
    assert abandoned > 0
    # Each admitted image was run or abandoned; few clients left while a worker had their image.
    assert result.count(200) <= run <= result.count(200) + result.left - abandoned


def test_requests_leak_no_memory_and_a_leak_would_be_detected(tiny: Rig) -> None:
    honest, leaking = (run(tiny, leak_bytes=leak_bytes) for leak_bytes in (0, 2**10))
    assert honest.kept_bytes < MAX_KEPT_BYTES < leaking.kept_bytes


def run(rig: Rig, *, leak_bytes: int) -> Kept:
    kept = run_traced(rig, warm_up=WARM_UP, count=COUNT, leak_bytes=leak_bytes)
    assert_no_faults(kept.result)
    assert kept.result.answered == COUNT
    for status in BAD_STATUSES:  # one body in twenty is invalid, in five ways
        assert kept.result.count(status) > 0
    return kept


def assert_no_faults(result: LoadResult) -> None:
    assert not result.faults.total(), (result.faults, result.wrong)
