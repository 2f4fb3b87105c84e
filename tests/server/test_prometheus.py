from __future__ import annotations

import threading
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from liveserver import ask, run_server
from pictag.server.prometheus import Metrics
from tinymodel import make_image


def read(text: bytes) -> dict[str, float]:
    """Samples by name and labels, parsed by Prometheus' own library."""
    samples = {}
    for family in text_string_to_metric_families(text.decode()):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            samples[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return samples


def test_a_run_counts_its_images() -> None:
    metrics = Metrics()
    for batch in (1, 4, 7):
        metrics.record_run("m", batch, 0.01)
    samples = read(metrics.render())
    assert samples["pictag_inferences_total{model=m}"] == 12
    assert samples["pictag_executions_total{model=m}"] == 3
    assert samples["pictag_batch_size_bucket{le=4.0,model=m}"] == 2
    assert samples["pictag_execution_seconds_count{model=m}"] == 3


def test_the_metrics_match_the_requests(tmp_path: Path) -> None:
    image = make_image(tmp_path / "p.png").read_bytes()
    with run_server(models=("tiny=embedded",), log_requests=False) as live:
        sent = [("/", image)] * 6 + [("/models/tiny", image)] * 3 + [("/", b"no image")] * 2
        threads = [
            threading.Thread(target=ask, args=(live.port, path), kwargs={"method": "POST", "body": body})
            for path, body in sent
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ask(live.port, "/no/such/path")
        status, text = ask(live.port, "/metrics")
    samples = read(text)
    assert status == 200
    assert samples["pictag_requests_total{route=/,status=200}"] == 6
    assert samples["pictag_requests_total{route=/,status=415}"] == 2
    assert samples["pictag_requests_total{route=/models/{model:path},status=200}"] == 3
    assert sum(value for name, value in samples.items() if "status=404" in name) == 1
    assert not any(
        "no/such" in name for name in samples
    )  # otherwise clients could create any number of series
    assert samples["pictag_inferences_total{model=tiny}"] == 9
    assert 1 <= samples["pictag_executions_total{model=tiny}"] <= 9
    assert samples["pictag_received_bytes_total"] == sum(len(body) for _, body in sent)
    assert samples["pictag_queue_seconds_count{model=tiny}"] >= 9
    assert samples["pictag_model_loaded{model=tiny}"] == samples["pictag_connections"] == 1
    assert samples["pictag_request_seconds_count{route=/}"] == 8
    assert (samples["pictag_queued"], samples["pictag_running"]) == (0, 0)
