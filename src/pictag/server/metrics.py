"""What the server counts, in Prometheus' text form.

Times are in seconds, sizes in bytes. As in Triton, an *inference* is one image that a model has seen and an
*execution* one run of the model: ``inferences / executions`` is the mean batch.
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
    """One server's counts. Its methods may be called from any thread; each takes microseconds.

    >>> metrics = Metrics()
    >>> metrics.executed("embedded", 4, 0.02)
    >>> b'pictag_inferences_total{model="embedded"} 4.0' in metrics.render()
    True
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each, which nobody reads
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "pictag_requests", "Requests answered.", ("route", "status"), registry=registry
        )
        self._request_seconds = Histogram(
            "pictag_request_seconds",
            "From a request's headers to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._answered: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._received = Counter(
            "pictag_received_bytes",
            "Bytes of request bodies that were read, as they came over the wire.",
            registry=registry,
        )
        self._inferences = Counter(
            "pictag_inferences", "Images that the model has seen.", ("model",), registry=registry
        )
        self._executions = Counter("pictag_executions", "Runs of the model.", ("model",), registry=registry)
        self._batch_size = Histogram(
            "pictag_batch_size", "Images in one run.", ("model",), buckets=_BATCHES, registry=registry
        )
        self._execution_seconds = Histogram(
            "pictag_execution_seconds", "Time of one run.", ("model",), buckets=_SECONDS, registry=registry
        )
        self._queue_seconds = Histogram(
            "pictag_queue_seconds",
            "Time from admission to the beginning of work on an image.",
            ("model",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._queued = Gauge("pictag_queued", "Images that are admitted and wait.", registry=registry)
        self._running = Gauge("pictag_running", "Images that are worked on.", registry=registry)
        self._refused = Counter(
            "pictag_refused", "Images that were not admitted.", ("reason",), registry=registry
        )
        self._abandoned = Counter(
            "pictag_abandoned", "Images not run because nobody waited for them.", registry=registry
        )
        self._expired = Counter(
            "pictag_expired", "Images not run because their deadline had passed.", registry=registry
        )
        self._loaded = Gauge(
            "pictag_model_loaded", "1 while the model is in memory.", ("model",), registry=registry
        )
        self._connections = Gauge("pictag_connections", "Connections that are open.", registry=registry)
        self._dropped = Counter(
            "pictag_dropped_connections",
            "Connections that the server closed.",
            ("reason",),
            registry=registry,
        )
        Gauge("pictag_info", "The version.", ("version",), registry=registry).labels(__version__).set(1)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request to ``route`` (its pattern, not its path) got its answer."""
        key = route, status
        series = self._answered.get(key)
        if series is None:  # prometheus_client takes as long to find a series as to count
            series = self._requests.labels(route, str(status)), self._request_seconds.labels(route)
            self._answered[key] = series
        series[0].inc()
        series[1].observe(seconds)

    def received(self, count_bytes: int) -> None:
        """So many bytes of a body have come."""
        self._received.inc(count_bytes)

    def executed(self, model: str, batch: int, seconds: float) -> None:
        """The model has run once, on ``batch`` images."""
        self._inferences.labels(model).inc(batch)
        self._executions.labels(model).inc()
        self._batch_size.labels(model).observe(batch)
        self._execution_seconds.labels(model).observe(seconds)

    def waited(self, model: str, seconds: float) -> None:
        """An image has waited so long between its admission and the work on it."""
        self._queue_seconds.labels(model).observe(seconds)

    def observe_load(self, *, queued: Callable[[], int], running: Callable[[], int]) -> None:
        """Ask these for what waits and what is worked on, each time the metrics are read."""
        self._queued.set_function(lambda: float(queued()))
        self._running.set_function(lambda: float(running()))

    def refused(self, reason: str) -> None:
        """An image was not admitted; ``reason`` is one of a few words, such as ``"count"``."""
        self._refused.labels(reason).inc()

    def abandoned(self) -> None:
        """An image was not run because nobody waited for it any more."""
        self._abandoned.inc()

    def expired(self) -> None:
        """An image was not run because its deadline had passed."""
        self._expired.inc()

    def observe_models(self, names: Iterable[str], is_loaded: Callable[[str], bool]) -> None:
        """Ask this for each model whether it is in memory, each time the metrics are read."""
        for name in names:
            self._loaded.labels(name).set_function(partial(is_loaded, name))

    def connected(self, count: int) -> None:
        """So many connections are open now."""
        self._connections.set(count)

    def dropped(self, reason: str) -> None:
        """The server closed a connection; ``reason`` is one of a few words, such as ``"silent"``."""
        self._dropped.labels(reason).inc()

    def render(self) -> bytes:
        """All counts in Prometheus' text form, version 0.0.4."""
        return generate_latest(self._registry)
