"""Which 8-bit arithmetic the processor has, and so which integers a quantised graph should hold."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Collection

# vnni: Intel and AMD with the instruction that adds up products of bytes without saturating. x86: those
# without it. arm: processors that multiply signed bytes.
Target = Literal["vnni", "x86", "arm"]
TARGETS: tuple[Target, ...] = get_args(Target)

_CPUINFO = Path("/proc/cpuinfo")
_VNNI = ("avx512_vnni", "avx_vnni")
_ARM = ("arm64", "aarch64", "armv8l")


def choose_target(machine: str, flags: Collection[str]) -> Target:
    """The target for a kind of machine and the features that its processor states.

    Where nothing is known of an Intel or AMD processor it counts as one without VNNI: that is right
    everywhere and a little less exact. The rules are those of ONNX Runtime's guide to quantisation.

    >>> choose_target("x86_64", {"avx2", "avx512_vnni"}), choose_target("AMD64", ())
    ('vnni', 'x86')
    """
    if machine.lower() in _ARM:
        return "arm"
    return "vnni" if any(flag in flags for flag in _VNNI) else "x86"


def find_target(cpuinfo: Path = _CPUINFO) -> Target:
    """The target of this machine."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return choose_target(platform.machine(), flags)
