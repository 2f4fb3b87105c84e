"""The properties of this machine that affect speed."""

from __future__ import annotations

import platform
import re
from importlib.metadata import distributions
from pathlib import Path

import numpy as np

from pictag.benchmark.records import MachineFacts
from pictag.engines.cores import count_cores

_CPU_INFO = Path("/proc/cpuinfo")
_PACKAGES = ("pictag", "numpy", "pillow", "onnxruntime", "onnxruntime-gpu", "openvino")
# The instruction sets that matrix multiplication and decoding use, as Linux names them (x86-64, ARM).
_FEATURES = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
    "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip


def describe_machine(*, cpu_info: Path = _CPU_INFO) -> MachineFacts:
    """The processor, the cores that the process may use, and the versions of the installed packages."""
    try:
        text = cpu_info.read_text(encoding="utf-8", errors="replace")
    except OSError:  # not Linux
        text = ""
    named = re.search(r"^model name\s*: (.+)$", text, re.M)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.M)
    return MachineFacts(
        system=platform.platform(),
        processor=(named[1] if named else platform.processor() or platform.machine()).strip(),
        cores=count_cores(),
        features=tuple(name for name in _FEATURES if name in flags[1].split())
        if flags
        else _numpy_features(),
        python=platform.python_version(),
        versions={
            name: found.version
            for name in _PACKAGES
            if (found := next(iter(distributions(name=name)), None)) is not None
        },
    )


def _numpy_features() -> tuple[str, ...]:
    """The instruction sets that numpy detected, in its own names, for systems without a list."""
    facts = np.show_config(mode="dicts") or {}
    found = facts.get("SIMD Extensions", {})
    return tuple(name.lower() for name in (*found.get("baseline", ()), *found.get("found", ())))
