"""The server's metrics in Prometheus' text format.

Times are in seconds, sizes in bytes. As in Triton, an *inference* is one image and an *execution* one run of
the model, so that ``inferences / executions`` is the mean batch size.
"""

from __future__ import annotations

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

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BATCHES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """One server's metrics; they may be updated from any thread.

    >>> metrics = Metrics()
    >>> metrics.record_run("embedded", 4, 0.02)
    >>> b'pictag_inferences_total{model="embedded"} 4.0' in metrics.render()
    True
    """

    def __init__(self) -> None:
        self._registry = of = CollectorRegistry()
        disable_created_metrics()  # type: ignore[no-untyped-call]  # an additional series for each metric
        ProcessCollector(registry=of)
        self.requests = Counter("pictag_requests", "Requests answered.", ("route", "status"), registry=of)
        self.request_seconds = Histogram(
            "pictag_request_seconds",
            "Time from a request's headers to the end of its response.",
            ("route",),
            buckets=_SECONDS,
            registry=of,
        )
        self.received_bytes = Counter(
            "pictag_received_bytes", "Bytes of request bodies received, before decompression.", registry=of
        )
        self.inferences = Counter(
            "pictag_inferences", "Images that the model has processed.", ("model",), registry=of
        )
        self.executions = Counter("pictag_executions", "Runs of the model.", ("model",), registry=of)
        self.batch_size = Histogram(
            "pictag_batch_size", "Images per run.", ("model",), buckets=_BATCHES, registry=of
        )
        self.execution_seconds = Histogram(
            "pictag_execution_seconds", "Time per run.", ("model",), buckets=_SECONDS, registry=of
        )
        self.queue_seconds = Histogram(
            "pictag_queue_seconds",
            "Time from an image's admission until a worker takes it.",
            ("model",),
            buckets=_SECONDS,
            registry=of,
        )
        self.explanations = Counter(
            "pictag_explanations", "Images explained, by method.", ("model", "method"), registry=of
        )
        self.queued = Gauge("pictag_queued", "Admitted images that wait for a worker.", registry=of)
        self.running = Gauge("pictag_running", "Images that workers are processing.", registry=of)
        self.refused = Counter(
            "pictag_refused", "Requests rejected because of overload.", ("reason",), registry=of
        )
        self.abandoned = Counter(
            "pictag_abandoned",
            "Images not run because their client left or their request failed.",
            registry=of,
        )
        self.expired = Counter(
            "pictag_expired", "Images not run because their deadline had passed.", registry=of
        )
        self.loaded = Gauge("pictag_model_loaded", "1 while the model is in memory.", ("model",), registry=of)
        self.connections = Gauge("pictag_connections", "Open connections.", registry=of)
        self.dropped = Counter(
            "pictag_dropped_connections", "Connections that the server closed.", ("reason",), registry=of
        )
        Gauge("pictag_info", "The version of pictag.", ("version",), registry=of).labels(__version__).set(1)

    def record_run(self, model: str, batch: int, seconds: float) -> None:
        """Count one run of the model on ``batch`` images."""
        self.inferences.labels(model).inc(batch)
        self.executions.labels(model).inc()
        self.batch_size.labels(model).observe(batch)
        self.execution_seconds.labels(model).observe(seconds)

    def render(self) -> bytes:
        """All metrics in Prometheus' text format, version 0.0.4."""
        return generate_latest(self._registry)
