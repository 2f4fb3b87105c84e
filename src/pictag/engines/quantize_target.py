"""The processor's 8-bit arithmetic, which determines the integer types of a quantized graph."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Collection

# vnni: Intel and AMD with instructions that add 8-bit products in 32 bits. x86: those without, whose fast
# instructions saturate at 16 bits. arm: processors that multiply signed bytes.
Target = Literal["vnni", "x86", "arm"]
TARGETS: tuple[Target, ...] = get_args(Target)

_CPUINFO = Path("/proc/cpuinfo")
_VNNI = ("avx512_vnni", "avx_vnni")
_ARM = ("arm64", "aarch64", "armv8l")


def choose_target(machine: str, flags: Collection[str]) -> Target:
    """The target for a machine type and its processor's feature flags.

    An Intel or AMD processor with unknown features counts as one without VNNI, which is safe everywhere. The
    rules are those of ONNX Runtime's quantization guide.

    >>> choose_target("x86_64", {"avx2", "avx512_vnni"}), choose_target("AMD64", ())
    ('vnni', 'x86')
    """
    if machine.lower() in _ARM:
        return "arm"
    return "vnni" if any(flag in flags for flag in _VNNI) else "x86"


def find_target(cpuinfo: Path = _CPUINFO) -> Target:
    """The target of this machine."""
    flags: list[str] = []
    try:
        with cpuinfo.open(errors="replace") as lines:  # a server's file is long; the first flags are enough
            flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    except OSError:  # not Linux
        pass
    return choose_target(platform.machine(), flags)


def has_fast_int8() -> bool:
    """Whether this machine's processor adds 8-bit products fast and without saturating."""
    return find_target() != "x86"
