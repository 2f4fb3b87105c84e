"""The server under load, in seconds: what must hold on any machine. `test_soak.py` has the bars."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest
from benchmarks.open_loop import Plan
from benchmarks.serve_endurance import run_long
from benchmarks.serve_material import EMBEDDED, Model, draw_picture, prepare_mixed
from benchmarks.serve_process import Server, Volley, fire, start_server
from benchmarks.serve_speed import Rig, make_rig
from benchmarks.slow_clients import SlowClients

from tinymodel import make_tiny_model

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

NO_FAULTS = {"lost": 0, "twice": 0, "swapped": 0, "wrong": 0}
LEAK_BYTES = 2**18
MOST_GROWTH_MB = 40  # bodies of 4 MB come and go: in the long form it is 10


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        draw_picture(folder / f"{number}.jpg", (500, 375), seed=number)
    return make_rig(EMBEDDED, list(folder.iterdir()))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with start_server(*EMBEDDED.arguments, leak_bytes=0) as server:
        yield server


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A model that takes no time, and small pictures: many requests in a few seconds."""
    folder = tmp_path_factory.mktemp("tiny")
    model = Model(title="tiny", reference=str(make_tiny_model(folder / "model")), dtype="fp32")
    return make_rig(model, [one for one in prepare_mixed(folder / "good") if one.stat().st_size < 100_000])


def test_every_picture_gets_its_own_labels_in_any_batch(server: Server, rig: Rig) -> None:
    volley = fire(server, Plan(port=server.port, pictures=rig.pictures, connections=32, count=160))
    assert volley.faults == NO_FAULTS, volley.wrong
    assert volley.count(200) == 160
    assert volley.largest_difference < 1e-5


def test_more_than_can_be_done_is_refused_and_what_is_accepted_is_answered_once(
    server: Server, rig: Rig
) -> None:
    plan = Plan(port=server.port, pictures=rig.pictures, rate=600, count=900, connections=900, timeout_ms=500)
    volley = fire(server, plan)
    assert volley.faults == NO_FAULTS, volley.wrong
    assert volley.answered == 900
    assert volley.count(429) > 0
    assert volley.count(200) + volley.count(429) + volley.count(504) == 900


def test_slow_clients_take_nothing_from_others(server: Server, rig: Rig) -> None:
    with SlowClients(server.port, 200, every_s=0.2):
        volley = fire(server, Plan(port=server.port, pictures=rig.pictures, connections=4, count=60))
        assert server.metrics()["pictag_connections"] >= 200
    assert volley.faults == NO_FAULTS, volley.wrong
    assert volley.count(200) == 60


def test_what_clients_leave_behind_is_not_run(server: Server, rig: Rig) -> None:
    tasks, descriptors, before = server.count_tasks(), wait_for_descriptors(server, 0), server.metrics()
    plan = Plan(
        port=server.port, pictures=rig.pictures, rate=600, count=400, connections=900, leave_share=0.5,
        leave_within_s=0.2,
    )  # fmt: skip
    volley = fire(server, plan)
    assert volley.faults == NO_FAULTS, volley.wrong
    assert volley.left > 100
    assert wait_for_descriptors(server, descriptors) <= descriptors
    assert server.count_tasks() == tasks
    after = server.metrics()
    run, abandoned = (
        after[f"pictag_{name}_total"] - before.get(f"pictag_{name}_total", 0)
        for name in ("inferences", "abandoned")
    )
    assert abandoned > 0
    # Each that was let in was run or abandoned; of those who left, few were in a worker's hands by then.
    assert volley.count(200) <= run <= volley.count(200) + volley.left - abandoned


def wait_for_descriptors(server: Server, wanted: int) -> int:
    """As many as there are when it has come down to so many, or does not change for two seconds."""
    found = server.descriptors
    until = time.monotonic() + 2
    while found > wanted and time.monotonic() < until:
        time.sleep(0.05)
        if server.descriptors < found:
            found, until = server.descriptors, time.monotonic() + 2
    return found


def test_memory_stays_where_it_is_and_a_leak_is_seen(tiny: Rig) -> None:
    honest = run_long(tiny.model, count=1000, rig=tiny)
    assert_answered(honest.volley, 1000)
    leaking = run_long(tiny.model, count=1000, rig=tiny, leak_bytes=LEAK_BYTES)
    assert_answered(leaking.volley, 1000)
    assert honest.growth_mb < MOST_GROWTH_MB < leaking.growth_mb


def assert_answered(volley: Volley, count: int) -> None:
    assert volley.faults == NO_FAULTS, volley.wrong
    assert volley.answered == count
    for status in (400, 413, 415, 422):  # one body in twenty is bad, in five ways
        assert volley.count(status) > 0
