"""What the server withstands: overload, slow clients, being stopped, clients that leave."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.serve_plan import REFUSED, TOO_LATE, Plan
from benchmarks.serve_process import find_left_over, fire, start_server, take_stock
from benchmarks.serve_speed import CONNECTIONS, Rig, measure_peak, warm_up
from benchmarks.serve_volley import count_faults, drift_mb, quantile_ms
from benchmarks.slow_clients import SlowClients

if TYPE_CHECKING:
    from benchmarks.serve_process import Server
    from benchmarks.serve_volley import Volley

TIMES_TOO_MUCH = 4
DEADLINE_MS = 1000
MANY_CONNECTIONS = 900
SLOW = 200


def measure_overload(rig: Rig, *, duration_s: float) -> list[Figure]:
    """Four times as many requests as there can be, between two measurements of how many there can be."""
    with start_server(*rig.model.arguments) as server:
        warm_up(server, rig)
        before = measure_peak(server, rig, duration_s=duration_s / 6)
        plan = Plan(
            port=server.port, images=rig.images, rate=TIMES_TOO_MUCH * before.rate, duration_s=duration_s,
            connections=MANY_CONNECTIONS, timeout_ms=DEADLINE_MS, may_refuse=True,
        )  # fmt: skip
        volley = fire(server, plan)
        after = measure_peak(server, rig, duration_s=duration_s / 6)
    peak = max(before.rate, after.rate)
    good, late, refused = (volley.count(status) for status in (200, TOO_LATE, REFUSED))
    said = f"{volley.asked:,} requests in {duration_s:.0f} s: {good:,} classified, {refused:,} refused"
    title = f"{rig.model.title}, {TIMES_TOO_MUCH}× overload"
    return [
        Figure(
            name=f"{title}: classified, of the peak",
            measured=good / duration_s / peak * 100,
            bar=85,
            unit="%",
            detail=f"{said}; the peak is {peak:.0f} a second",
            more=True,
        ),
        count_faults(f"{title}: requests lost, twice, swapped or wrong", [volley]),
        count_faults(f"{title}: at the peak, requests lost, twice, swapped or wrong", [before, after]),
        Figure(
            name=f"{title}: refusals, 99th percentile",
            measured=quantile_ms([volley], 0.99, REFUSED),
            bar=50,
            unit="ms",
            detail=f"median {quantile_ms([volley], 0.5, REFUSED):.1f} ms",
        ),
        Figure(
            name=f"{title}: accepted, 99th percentile",
            measured=quantile_ms([volley], 0.99, 200, TOO_LATE),
            bar=DEADLINE_MS,
            unit="ms",
            detail=f"{late} of {good + late:,} were too late and told so (504); the deadline is the bar",
        ),
        Figure(
            name=f"{title}: memory drift",
            measured=drift_mb(volley.memory),
            bar=64,
            unit="MB",
            detail=f"{volley.memory[0]:.0f} MB at the beginning, {volley.memory[-1]:.0f} MB at the end",
        ),
    ]


def measure_slow_clients(rig: Rig, *, rounds: int, duration_s: float, count: int = SLOW) -> list[Figure]:
    """Traffic at half of the peak, in turns without and with slow connections beside it."""
    alone: list[Volley] = []
    beside: list[Volley] = []
    closed = 0
    with start_server(*rig.model.arguments) as server:
        warm_up(server, rig)
        peak = measure_peak(server, rig, duration_s=duration_s / 2)
        rate = peak.rate / 2
        for number in range(rounds):
            plan = Plan(
                port=server.port, images=rig.images, rate=rate, duration_s=duration_s,
                connections=MANY_CONNECTIONS // 2, seed=number,
            )  # fmt: skip
            alone.append(fire(server, plan))
            with SlowClients(server.port, count) as clients:
                beside.append(fire(server, plan))
            closed += clients.closed_by_server
    alone_ms, beside_ms = (quantile_ms(volleys, 0.99, 200) for volleys in (alone, beside))
    return [
        Figure(
            name=f"{rig.model.title}: 99th percentile beside {count} slow connections",
            measured=beside_ms / alone_ms,
            bar=1.5,
            unit="×",
            detail=f"{beside_ms:.1f} ms, {alone_ms:.1f} ms without them, at {rate:.0f} requests a second; "
            f"the server closed {closed} of theirs",
        ),
        count_faults(
            "beside slow connections: requests lost, twice, swapped or wrong", [peak, *alone, *beside]
        ),
    ]


def measure_stops(rig: Rig, *, times: int) -> list[Figure]:
    """SIGTERM in the middle of a load, over and over."""
    volleys, statuses, took_s = [], [], []
    for number in range(times):
        with start_server(*rig.model.arguments) as server:
            volley, status, seconds = _stop_under_load(server, rig, seed=number)
        volleys.append(volley)
        statuses.append(status)
        took_s.append(seconds)
    failed = sum(one.faults.total() for one in volleys)
    answered = sum(one.answered for one in volleys)
    return [
        Figure(
            name=f"{rig.model.title}, SIGTERM under load {times} times: accepted requests that failed",
            measured=failed,
            bar=0,
            unit="",
            detail=f"{answered:,} accepted; the door was closed for {sum(v.door_closed for v in volleys)}",
        ),
        Figure(
            name=f"SIGTERM under load {times} times: the longest stop",
            measured=max(took_s),
            bar=20,
            unit="s",
            detail=f"exit statuses: {sorted(set(statuses))}",
        ),
        Figure(
            name=f"SIGTERM under load {times} times: ends with a status other than 0",
            measured=sum(status != 0 for status in statuses),
            bar=0,
            unit="",
        ),
    ]


def _stop_under_load(server: Server, rig: Rig, *, seed: int) -> tuple[Volley, int, float]:
    volleys: list[Volley] = []
    plan = Plan(
        port=server.port, images=rig.images, connections=CONNECTIONS, duration_s=60, seed=seed,
        may_close=True,
    )  # fmt: skip
    load = threading.Thread(target=lambda: volleys.append(fire(server, plan)))
    load.start()
    until = time.monotonic() + 30
    while server.metrics().get("pictag_inferences_total", 0) < 2 * CONNECTIONS and time.monotonic() < until:
        time.sleep(0.05)
    started_s = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(30)
    took_s = time.monotonic() - started_s
    load.join()
    return volleys[0], status, took_s


def measure_leaving(rig: Rig, *, duration_s: float) -> list[Figure]:
    """Twice as many requests as there can be, and three in ten of the clients leave while they wait."""
    with start_server(*rig.model.arguments, leak_bytes=0) as server:
        peak = measure_peak(server, rig, duration_s=duration_s / 4)
        before, stock = server.metrics(), take_stock(server)
        plan = Plan(
            port=server.port, images=rig.images, rate=2 * peak.rate, duration_s=duration_s,
            connections=MANY_CONNECTIONS, leave_share=0.3, timeout_ms=DEADLINE_MS, may_refuse=True,
        )  # fmt: skip
        volley = fire(server, plan)
        left = find_left_over(server, stock)
        after = server.metrics()
    run, abandoned = (
        int(after[f"pictag_{name}_total"] - before.get(f"pictag_{name}_total", 0))
        for name in ("inferences", "abandoned")
    )
    in_vain = run - volley.count(200)
    title = f"{rig.model.title}, clients that leave while they wait"
    return [
        Figure(
            name=f"{title}: run all the same",
            measured=in_vain / max(1, volley.left) * 100,
            bar=10,  # what a worker had in hand when they left
            unit="%",
            detail=f"{volley.left:,} of {volley.asked:,} left; {abandoned:,} were let in and not run, "
            f"{in_vain} were in a worker's hands already",
        ),
        Figure(
            name=f"{title}: tasks and descriptors left over",
            measured=left.total(),
            bar=0,
            unit="",
            detail=", ".join(f"{count} {name}" for name, count in left.items()) or "none of either",
        ),
        count_faults(f"{title}: others' requests lost, twice, swapped or wrong", [volley]),
    ]
