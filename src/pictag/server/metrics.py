"""The server's metrics in Prometheus' text format.

Times are in seconds, sizes in bytes. As in Triton, an *inference* is one image and an *execution* one run of
the model, so that ``inferences / executions`` is the mean batch size.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import generate_latest

from pictag import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's metrics. Its methods may be called from any thread.

    >>> metrics = Metrics()
    >>> metrics.executed("embedded", 4, 0.02)
    >>> b'pictag_inferences_total{model="embedded"} 4.0' in metrics.render()
    True
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an additional series for each metric
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "pictag_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "pictag_request_seconds",
            "Time from a request's headers to the end of its response.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._received = Counter(
            "pictag_received_bytes",
            "Bytes of request bodies received, before decompression.",
            registry=registry,
        )
        self._inferences = Counter(
            "pictag_inferences", "Images that the model has processed.", ("model",), registry=registry
        )
        self._executions = Counter("pictag_executions", "Runs of the model.", ("model",), registry=registry)
        self._batch_size = Histogram(
            "pictag_batch_size", "Images per run.", ("model",), buckets=_BATCHES, registry=registry
        )
        self._execution_seconds = Histogram(
            "pictag_execution_seconds", "Time per run.", ("model",), buckets=_SECONDS, registry=registry
        )
        self._queue_seconds = Histogram(
            "pictag_queue_seconds",
            "Time from an image's admission until a worker takes it.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queued = Gauge("pictag_queued", "Admitted images that wait for a worker.", registry=registry)
        self._running = Gauge("pictag_running", "Images that workers are processing.", registry=registry)
        self._refused = Counter(
            "pictag_refused",
            "Images and bodies rejected because of overload.",
            ("reason",),
            registry=registry,
        )
        self._abandoned = Counter(
            "pictag_abandoned",
            "Images not run because their client left or their request failed.",
            registry=registry,
        )
        self._expired = Counter(
            "pictag_expired", "Images not run because their deadline had passed.", registry=registry
        )
        self._loaded = Gauge(
            "pictag_model_loaded", "1 while the model is in memory.", ("model",), registry=registry
        )
        self._connections = Gauge("pictag_connections", "Open connections.", registry=registry)
        self._dropped = Counter(
            "pictag_dropped_connections",
            "Connections that the server closed.",
            ("reason",),
            registry=registry,
        )
        Gauge("pictag_info", "The version of pictag.", ("version",), registry=registry).labels(
            __version__
        ).set(1)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a response; ``route`` is the path's pattern, not the path."""
        self._requests.labels(route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def received(self, count_bytes: int) -> None:
        """Count received bytes of a body."""
        self._received.inc(count_bytes)

    def executed(self, model: str, batch: int, seconds: float) -> None:
        """Count one run of the model on ``batch`` images."""
        self._inferences.labels(model).inc(batch)
        self._executions.labels(model).inc()
        self._batch_size.labels(model).observe(batch)
        self._execution_seconds.labels(model).observe(seconds)

    def waited(self, model: str, seconds: float) -> None:
        """Record the time from an image's admission until a worker took it."""
        self._queue_seconds.labels(model).observe(seconds)

    def observe_load(self, *, queued: Callable[[], int], running: Callable[[], int]) -> None:
        """Call these functions each time the metrics are read."""
        self._queued.set_function(lambda: float(queued()))
        self._running.set_function(lambda: float(running()))

    def refused(self, reason: str) -> None:
        """Count an image that was not admitted; ``reason`` is a word such as ``"count"``."""
        self._refused.labels(reason).inc()

    def abandoned(self) -> None:
        """Count an image that was not run because nobody awaits it any more."""
        self._abandoned.inc()

    def expired(self) -> None:
        """Count an image that was not run because its deadline had passed."""
        self._expired.inc()

    def observe_models(self, names: Iterable[str], is_loaded: Callable[[str], bool]) -> None:
        """Call ``is_loaded`` for each model each time the metrics are read."""
        for name in names:
            self._loaded.labels(name).set_function(partial(is_loaded, name))

    def connected(self, count: int) -> None:
        """Set the number of open connections."""
        self._connections.set(count)

    def dropped(self, reason: str) -> None:
        """Count a connection that the server closed; ``reason`` is a word such as ``"silent"``."""
        self._dropped.labels(reason).inc()

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
