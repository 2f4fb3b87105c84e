"""The number of processor cores available to this process."""

from __future__ import annotations

import math
import os
from pathlib import Path

_CGROUP_V2 = Path("/sys/fs/cgroup/cpu.max")
_CGROUP_V1 = Path("/sys/fs/cgroup/cpu")


def count_cores(*, quota_file: Path = _CGROUP_V2, quota_folder: Path = _CGROUP_V1) -> int:
    """The number of cores allowed by affinity and a container's limit, at least 1.

    ``os.cpu_count()`` counts the machine's cores; using all of them in a container limited to two slows
    everything down. A limit of 1.5 cores counts as 2.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        cores = os.cpu_count() or 1
    quota = _read_quota(quota_file, quota_folder)
    return max(1, cores if quota is None else min(cores, math.ceil(quota)))


def _read_quota(quota_file: Path, quota_folder: Path) -> float | None:
    """The container's limit in cores (cgroup version 2 or 1), or ``None``."""
    try:
        quota, period = quota_file.read_text().split()
    except (OSError, ValueError):
        try:
            quota = (quota_folder / "cpu.cfs_quota_us").read_text().strip()
            period = (quota_folder / "cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        cores = float(quota) / float(period)
    except (ValueError, ZeroDivisionError):  # "max": no limit
        return None
    return cores if cores > 0 else None
