"""The peak memory of this process."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")


def read_peak_memory(*, status: Path = _STATUS) -> int | None:
    """The most physical memory held so far, in bytes; ``None`` if the system does not report it."""
    try:
        # Linux's getrusage() is inherited: a new process starts with the peak of its parent.
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
