"""The meter that stands in for a progress bar, in the hands of huggingface_hub's own code."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from pictag.models.hub_guard import RefusedAnswer, Watch, is_hub, make_meter_class
from pictag.models.options import DownloadProgress


def test_the_meter_serves_a_download_through_xet() -> None:
    told: list[DownloadProgress] = []
    meter = make_meter_class(Watch(file="model.onnx", size=100, on_progress=told.append))
    with XetDownloadProgressReporter(
        reconstruction_desc="model.onnx", total=100, log_level=30, tqdm_class=cast("Any", meter)
    ) as reporter:
        for done in (0, 40, 100):
            reporter.update_progress(
                SimpleNamespace(
                    total_bytes=100,
                    total_bytes_completed=done,
                    total_bytes_completion_rate=1.0,
                    total_transfer_bytes_completed=done // 2,
                    total_transfer_bytes_completion_rate=None,
                )
            )
    assert [(p.received, p.total) for p in told] == [(0, 100), (40, 100), (100, 100)]


def test_more_bytes_than_stated_are_refused_while_they_arrive() -> None:
    meter = make_meter_class(Watch(file="model.onnx", size=10, on_progress=None))(total=10)
    meter.update(8)
    meter.update(-8)
    meter.update(10)
    with pytest.raises(RefusedAnswer, match="stated 10 bytes and sends more"):
        meter.update(1)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://huggingface.co/org/name", True),
        ("https://huggingface.co.evil.example/org", False),
        ("http://huggingface.co/org", False),
        ("https://huggingface.co:8443/org", False),
        ("https://evil.example/huggingface.co", False),
        ("https://user@evil.example", False),
    ],
)
def test_only_the_hub_is_the_hub(url: str, expected: bool) -> None:
    assert is_hub(url) is expected
