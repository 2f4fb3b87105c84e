"""The progress bar and the hooks that pictag gives to huggingface_hub."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from huggingface_hub.utils._xet_progress_reporting import XetDownloadProgressReporter

from pictag.models.hub_client import is_hub, make_progress_bar
from pictag.options import DownloadProgress


def test_progress_is_reported_for_downloads_through_xet() -> None:
    reported: list[DownloadProgress] = []
    bar = make_progress_bar("model.onnx", 100, reported.append, [])
    with XetDownloadProgressReporter(
        reconstruction_desc="model.onnx", total=100, log_level=30, tqdm_class=bar
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
    assert [(p.received, p.total) for p in reported] == [(0, 100), (40, 100), (100, 100)]


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
def test_only_the_hub_may_receive_the_token(url: str, expected: bool) -> None:
    assert is_hub(url) is expected
