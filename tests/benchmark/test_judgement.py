from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pictag.benchmark.judgement import judge
from pictag.benchmark.records import (
    BottleneckReport,
    GraphWork,
    ImageFacts,
    InferenceRate,
    Limits,
    MultiplyRate,
    Result,
)

IMAGES = ImageFacts(
    origin="drawn", folder=None, count=8, broken=(), mean_bytes=7e4, mean_pixels=2e5, decode_per_s=1000.0,
    preprocess_per_s=2000.0, fast_decode_gain=1.0, cpu_share=1.0,
)  # fmt: skip
LIMITS = Limits(
    float32=MultiplyRate(gops=200.0, engine="onnxruntime"), int8=MultiplyRate(gops=800.0, engine="openvino")
)
RESULT = Result(
    engine="onnxruntime",
    dtype="fp32",
    end_to_end_per_s=200.0,
    inference=(
        InferenceRate(batch_size=1, runs=1, per_s=300.0),
        InferenceRate(batch_size=4, runs=2, per_s=500.0),
    ),
    work=GraphWork(multiply_adds=100_000_000, arithmetic="float32"),
)


def judged(
    result: Result = RESULT, limits: Limits = LIMITS, decode: str = "exact", **facts: Any
) -> BottleneckReport:
    judgement = judge(result, images=replace(IMAGES, **facts), limits=limits, decode=decode)
    assert judgement is not None
    return judgement


def test_the_seconds_of_an_image_add_up() -> None:
    judgement = judged()
    assert judgement.steps_per_s == pytest.approx(1 / (0.001 + 0.0005 + 0.002))
    assert judgement.steps_share == pytest.approx(200 * 0.0035)
    assert judgement.time_shares == pytest.approx({"decode": 2 / 7, "preprocess": 1 / 7, "inference": 4 / 7})
    assert judgement.bottleneck == "inference"


def test_the_limit_is_what_the_machine_multiplies_beside_decoding() -> None:
    judgement = judged()
    assert judgement.multiply_per_s == pytest.approx(1000)  # 200 GFLOP/s over 0.2 GFLOP an image
    assert judgement.limit_per_s == pytest.approx(1 / (0.001 + 0.0005 + 0.001))
    assert judgement.limit_share == pytest.approx(0.5)
    assert judgement.advice == (
        "Inference takes 57% of the time, at 50% of what this machine can multiply; "
        "weights of 8-bit integers multiply 4.0 times as fast here."
    )


def test_quantised_graphs_are_held_to_the_rate_of_integers() -> None:
    work = GraphWork(multiply_adds=100_000_000, arithmetic="int8")
    judgement = judged(replace(RESULT, work=work))
    assert judgement.multiply_per_s == pytest.approx(4000)
    assert judgement.advice == "Inference takes 57% of the time, at 12% of what this machine can multiply."


@pytest.mark.parametrize(
    ("result", "limits"),
    [(replace(RESULT, work=None), LIMITS), (RESULT, Limits()), (RESULT, replace(LIMITS, float32=None))],
)
def test_without_a_limit_the_steps_are_judged_alone(result: Result, limits: Limits) -> None:
    judgement = judged(result, limits)
    assert (judgement.multiply_per_s, judgement.limit_per_s, judgement.limit_share) == (None, None, None)
    assert judgement.advice == "Inference takes 57% of the time."


def test_slow_decoding_is_named_with_what_helps() -> None:
    slow = judged(decode_per_s=100.0, fast_decode_gain=3.4)
    assert slow.bottleneck == "decode"
    assert slow.advice == (
        "Decoding takes 80% of the time; decode='fast' would decode these images 3.4 times as fast."
    )
    assert judged(decode_per_s=100.0).advice.endswith("; only smaller images would help.")
    assert judged(decode="fast", decode_per_s=100.0, fast_decode_gain=3.4).advice.endswith(
        "; only smaller images would help."
    )


def test_slow_preprocessing_is_named() -> None:
    judgement = judged(preprocess_per_s=100.0)
    assert judgement.bottleneck == "preprocess"
    assert judgement.advice.startswith("Preprocessing takes 77% of the time;")


def test_there_is_nothing_to_judge_before_the_line_and_inference_are_measured() -> None:
    for part in (replace(RESULT, end_to_end_per_s=None), replace(RESULT, inference=())):
        assert judge(part, images=IMAGES, limits=LIMITS, decode="exact") is None
