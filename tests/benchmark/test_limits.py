from __future__ import annotations

import pytest

from pictag.benchmark import limits
from pictag.benchmark.jobs import Found, LimitJob
from pictag.benchmark.limits import measure_limits
from pictag.benchmark.records import MultiplyRate


def measured() -> dict[str, MultiplyRate | None]:
    found: dict[str, MultiplyRate | None] = {}
    for message in measure_limits(LimitJob(step_s=0.01)):
        if isinstance(message, Found):
            found |= message.values
    return found


def test_both_kinds_of_number_are_measured() -> None:
    found = measured()
    assert found.keys() == {"float32", "int8"}
    for rate in found.values():
        assert rate is not None
        assert rate.gops > 0.1
        assert rate.engine in ("onnxruntime", "openvino")


def test_an_engine_that_is_broken_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ImportError("libtbb.so: not found")

    monkeypatch.setattr(limits, "_open_openvino", fail)
    rate = measured()["int8"]
    assert rate is not None
    assert rate.engine == "onnxruntime"


def test_what_nothing_can_measure_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("illegal instruction")

    monkeypatch.setattr(limits, "_open_openvino", fail)
    monkeypatch.setattr(limits, "_open_onnxruntime", fail)
    assert measured() == {"float32": None, "int8": None}
