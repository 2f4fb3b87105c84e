"""From the results of a race to its verdicts."""

from __future__ import annotations

from typing import Any

from benchmarks.judgement import find_limit, judge_all


def row(name: str, family: str, weights: str, rate: float) -> dict[str, Any]:
    return {"name": name, "family": family, "weights": weights, "rate": rate}


def race(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"mobilenet_v2-500x375": {"results": list(rows)}}


def test_each_job_is_judged_by_the_fastest_setting_of_each_program() -> None:
    float_job, int8_job = judge_all(
        race(
            row("transformers, batch 1", "transformers", "float", 10),
            row("transformers, batch 8", "transformers", "float", 20),
            row("transformers.js fp32, batch 8", "transformers.js", "float", 80),
            row("transformers.js q8, batch 8", "transformers.js", "int8", 50),
            row("pictag float, onnxruntime", "pictag", "float", 160),
            row("pictag float, openvino", "pictag", "float", 200),
            row("pictag int8, openvino", "pictag", "int8", 400),
        )
    )
    assert (float_job.contestant, int8_job.contestant) == ("pictag float, openvino", "pictag int8, openvino")
    assert float_job.transformers is not None
    assert float_job.transformers_js is not None
    assert (float_job.transformers.ratio, float_job.transformers.is_reached) == (10, True)
    assert (float_job.transformers_js.ratio, float_job.transformers_js.is_reached) == (2.5, True)
    assert int8_job.transformers_js is not None
    assert int8_job.transformers_js.against == "transformers.js fp32, batch 8"


def test_what_did_not_run_is_not_judged() -> None:
    (verdict,) = judge_all(race(row("pictag float, openvino", "pictag", "float", 200)))
    assert verdict.transformers is verdict.transformers_js is verdict.limit is None
    assert judge_all(race(row("transformers, batch 1", "transformers", "float", 10))) == []
    assert judge_all({}) == []


def test_the_limit_of_steps_is_that_of_the_same_engine() -> None:
    ours = row("pictag float, openvino", "pictag", "float", 200)
    rows = [
        row("limit of pictag float, onnxruntime", "limit", "float", 900),
        row("limit of pictag float, openvino", "limit", "float", 210),
        row("limit of pictag int8, openvino", "limit", "int8", 800),
    ]
    assert find_limit(rows, ours) == rows[1]


def test_the_limit_of_matrix_multiplication_is_that_of_the_same_numbers() -> None:
    ours = row("pictag int8, openvino", "pictag", "int8", 20)
    rows = [
        row("limit of matrix multiplication, float32", "limit", "float", 6),
        row("limit of matrix multiplication, int8", "limit", "int8", 25),
    ]
    assert find_limit(rows, ours) == rows[1]
