"""Counts the cores available to the process, not those of the machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from pictag.engines.cores import count_cores


def test_without_a_limit_affinity_decides(tmp_path: Path) -> None:
    count = count_cores(quota_file=tmp_path / "none", quota_folder=tmp_path)
    assert count == (len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count())


@pytest.mark.parametrize(
    ("quota", "cores"), [("100000 100000", 1), ("50000 100000", 1), ("max 100000", None)]
)
def test_a_containers_limit_applies(tmp_path: Path, quota: str, cores: int | None) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    free = count_cores(quota_file=tmp_path / "none", quota_folder=tmp_path)
    assert count_cores(quota_file=tmp_path / "cpu.max", quota_folder=tmp_path) == (cores or free)


def test_the_older_form_of_a_containers_limit_applies(tmp_path: Path) -> None:
    (tmp_path / "cpu.cfs_quota_us").write_text("100000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert count_cores(quota_file=tmp_path / "none", quota_folder=tmp_path) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs processor affinity (Linux)")
def test_affinity_applies(tmp_path: Path) -> None:
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert count_cores(quota_file=tmp_path / "none", quota_folder=tmp_path) == 1
    finally:
        os.sched_setaffinity(0, before)
