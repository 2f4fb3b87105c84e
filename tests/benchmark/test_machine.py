from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

import pictag
from pictag.benchmark.machine import describe_machine
from pictag.engines.cores import count_cores

X86 = """\
processor\t: 0
model name\t: Example CPU @ 2.00GHz
flags\t\t: fpu sse4_2 avx2 avx512_vnni amx_int8
"""
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd asimddp i8mm\n"


def test_this_machine_is_described() -> None:
    facts = describe_machine()
    assert facts.cores == count_cores()
    assert facts.processor
    assert facts.python == platform.python_version()
    assert facts.versions["pictag"] == pictag.__version__
    assert facts.versions["numpy"] == np.__version__
    assert "onnxruntime" in facts.versions


def test_the_processor_and_its_features_are_read_from_cpuinfo(tmp_path: Path) -> None:
    (tmp_path / "x86").write_text(X86)
    facts = describe_machine(cpu_info=tmp_path / "x86")
    assert facts.processor == "Example CPU @ 2.00GHz"
    assert facts.features == ("sse4_2", "avx2", "avx512_vnni", "amx_int8")
    (tmp_path / "arm").write_text(ARM)
    assert describe_machine(cpu_info=tmp_path / "arm").features == ("asimd", "asimddp", "i8mm")


def test_features_come_from_numpy_on_systems_without_cpuinfo(tmp_path: Path) -> None:
    facts = describe_machine(cpu_info=tmp_path / "missing")
    assert facts.processor
    assert all(name == name.lower() for name in facts.features)
