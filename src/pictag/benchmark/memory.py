"""The most memory that this process has held."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def read_peak_memory(*, status: Path = _STATUS) -> int | None:
    """Bytes in physical memory at the highest point so far; ``None`` where the system does not say."""
    try:
        # getrusage() begins with what the process that started this one had.
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(encoding="utf-8"), re.M)
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
