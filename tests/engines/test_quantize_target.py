"""The choice of the quantization target."""

from __future__ import annotations

from pathlib import Path

import pytest

from pictag.engines.quantize_target import TARGETS, choose_target, find_target


@pytest.mark.parametrize(
    ("machine", "flags", "expected"),
    [
        ("x86_64", ["sse2", "avx512_vnni"], "vnni"),
        ("AMD64", ["avx_vnni"], "vnni"),
        ("x86_64", ["avx2", "avx512f"], "x86"),
        ("AMD64", [], "x86"),
        ("aarch64", ["asimddp"], "arm"),
        ("arm64", [], "arm"),
    ],
)
def test_the_processor_decides(machine: str, flags: list[str], expected: str) -> None:
    assert choose_target(machine, flags) == expected


def test_unknown_features_still_give_a_target(tmp_path: Path) -> None:
    assert find_target(tmp_path / "missing") in ("x86", "arm")
    assert find_target() in TARGETS


def test_features_are_read_from_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512_vnni\n")
    assert find_target(tmp_path / "cpuinfo") == "vnni"
