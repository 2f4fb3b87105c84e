"""The server under overload, with slow or disconnecting clients, and being stopped."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from benchmarks.figures import Figure
from benchmarks.load_result import count_faults, drift_mb, quantile_ms
from benchmarks.serve_plan import REFUSED, TOO_LATE, Plan
from benchmarks.serve_process import find_left_over, run_load, start_server, take_stock
from benchmarks.serve_speed import CONNECTIONS, Rig, measure_peak, warm_up
from benchmarks.slow_clients import SlowClients

if TYPE_CHECKING:
    from benchmarks.load_result import LoadResult
    from benchmarks.serve_process import Server

TIMES_TOO_MUCH = 4
DEADLINE_MS = 1000
MANY_CONNECTIONS = 900
SLOW = 200


def measure_overload(rig: Rig, *, duration_s: float) -> list[Figure]:
    """Four times the peak rate, between two measurements of the peak."""
    with start_server(*rig.model.arguments) as server:
        warm_up(server, rig)
        before = measure_peak(server, rig, duration_s=duration_s / 6)
        plan = Plan(
            port=server.port, images=rig.images, rate=TIMES_TOO_MUCH * before.rate, duration_s=duration_s,
            connections=MANY_CONNECTIONS, timeout_ms=DEADLINE_MS, may_refuse=True,
        )  # fmt: skip
        result = run_load(server, plan)
        after = measure_peak(server, rig, duration_s=duration_s / 6)
    peak = max(before.rate, after.rate)
    good, late, refused = (result.count(status) for status in (200, TOO_LATE, REFUSED))
    said = f"{result.asked:,} requests in {duration_s:.0f} s: {good:,} classified, {refused:,} refused"
    title = f"{rig.model.title}, {TIMES_TOO_MUCH}× overload"
    return [
        Figure(
            name=f"{title}: images classified, relative to the peak rate",
            measured=good / duration_s / peak * 100,
            target=85,
            unit="%",
            detail=f"{said}; the peak rate is {peak:.0f} per second",
            more=True,
        ),
        count_faults(f"{title}: requests lost, answered twice, swapped or wrong", [result]),
        count_faults(
            f"{title}: at the peak, requests lost, answered twice, swapped or wrong", [before, after]
        ),
        Figure(
            name=f"{title}: refusals, 99th percentile",
            measured=quantile_ms([result], 0.99, REFUSED),
            target=50,
            unit="ms",
            detail=f"median {quantile_ms([result], 0.5, REFUSED):.1f} ms",
        ),
        Figure(
            name=f"{title}: accepted, 99th percentile",
            measured=quantile_ms([result], 0.99, 200, TOO_LATE),
            target=DEADLINE_MS,
            unit="ms",
            detail=f"{late} of {good + late:,} timed out (504); the target is the deadline",
        ),
        Figure(
            name=f"{title}: memory drift",
            measured=drift_mb(result.memory),
            target=64,
            unit="MB",
            detail=f"{result.memory[0]:.0f} MB at the beginning, {result.memory[-1]:.0f} MB at the end",
        ),
    ]


def measure_slow_clients(rig: Rig, *, rounds: int, duration_s: float, count: int = SLOW) -> list[Figure]:
    """Alternate between half the peak rate alone and the same with slow connections."""
    alone: list[LoadResult] = []
    beside: list[LoadResult] = []
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
            alone.append(run_load(server, plan))
            with SlowClients(server.port, count) as clients:
                beside.append(run_load(server, plan))
            closed += clients.closed_by_server
    alone_ms, beside_ms = (quantile_ms(results, 0.99, 200) for results in (alone, beside))
    return [
        Figure(
            name=f"{rig.model.title}: 99th percentile with {count} slow connections",
            measured=beside_ms / alone_ms,
            target=1.5,
            unit="×",
            detail=f"{beside_ms:.1f} ms, {alone_ms:.1f} ms without them, at {rate:.0f} requests per second; "
            f"the server closed {closed} slow connections",
        ),
        count_faults(
            "with slow connections: requests lost, answered twice, swapped or wrong", [peak, *alone, *beside]
        ),
    ]


def measure_stops(rig: Rig, *, times: int) -> list[Figure]:
    """Stop the server with SIGTERM under load, repeatedly."""
    results, statuses, took_s = [], [], []
    for number in range(times):
        with start_server(*rig.model.arguments) as server:
            result, status, seconds = _stop_under_load(server, rig, seed=number)
        results.append(result)
        statuses.append(status)
        took_s.append(seconds)
    failed = sum(one.faults.total() for one in results)
    answered = sum(one.answered for one in results)
    refused = sum(one.connections_refused for one in results)
    return [
        Figure(
            name=f"{rig.model.title}, SIGTERM under load {times} times: accepted requests that failed",
            measured=failed,
            target=0,
            unit="",
            detail=f"{answered:,} accepted; connections refused: {refused}",
        ),
        Figure(
            name=f"SIGTERM under load {times} times: longest stop",
            measured=max(took_s),
            target=20,
            unit="s",
            detail=f"exit statuses: {sorted(set(statuses))}",
        ),
        Figure(
            name=f"SIGTERM under load {times} times: exits with a status other than 0",
            measured=sum(status != 0 for status in statuses),
            target=0,
            unit="",
        ),
    ]


def _stop_under_load(server: Server, rig: Rig, *, seed: int) -> tuple[LoadResult, int, float]:
    results: list[LoadResult] = []
    plan = Plan(
        port=server.port, images=rig.images, connections=CONNECTIONS, duration_s=60, seed=seed,
        may_close=True,
    )  # fmt: skip
    load = threading.Thread(target=lambda: results.append(run_load(server, plan)))
    load.start()
    until = time.monotonic() + 30
    while server.metrics().get("pictag_inferences_total", 0) < 2 * CONNECTIONS and time.monotonic() < until:
        time.sleep(0.05)
    started_s = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(30)
    took_s = time.monotonic() - started_s
    load.join()
    return results[0], status, took_s


def measure_leaving(rig: Rig, *, duration_s: float) -> list[Figure]:
    """Twice the peak rate, while three in ten clients disconnect before the response."""
    with start_server(*rig.model.arguments, leak_bytes=0) as server:
        peak = measure_peak(server, rig, duration_s=duration_s / 4)
        before, stock = server.metrics(), take_stock(server)
        plan = Plan(
            port=server.port, images=rig.images, rate=2 * peak.rate, duration_s=duration_s,
            connections=MANY_CONNECTIONS, leave_share=0.3, timeout_ms=DEADLINE_MS, may_refuse=True,
        )  # fmt: skip
        result = run_load(server, plan)
        left = find_left_over(server, stock)
        after = server.metrics()
    run, abandoned = (
        int(after[f"pictag_{name}_total"] - before.get(f"pictag_{name}_total", 0))
        for name in ("inferences", "abandoned")
    )
    in_vain = run - result.count(200)
    title = f"{rig.model.title}, clients that disconnect while waiting"
    return [
        Figure(
            name=f"{title}: requests run anyway",
            measured=in_vain / max(1, result.left) * 100,
            target=10,  # requests that a worker had already taken
            unit="%",
            detail=f"{result.left:,} of {result.asked:,} clients left; "
            f"{abandoned:,} requests were accepted and not run, {in_vain} had already reached a worker",
        ),
        Figure(
            name=f"{title}: tasks and descriptors left over",
            measured=left.total(),
            target=0,
            unit="",
            detail=", ".join(f"{count} {name}" for name, count in left.items()) or "none",
        ),
        count_faults(f"{title}: others' requests lost, answered twice, swapped or wrong", [result]),
    ]
