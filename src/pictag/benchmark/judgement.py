"""How far a line is from what the machine could do, and what holds it up: pure arithmetic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.benchmark.records import BottleneckReport

if TYPE_CHECKING:
    from pictag.benchmark.records import GraphWork, ImageFacts, Limits, Result, Step

_WORTH = 1.2  # times as fast: less is not worth a person's trouble
_NAMES: dict[Step, str] = {
    "decode": "Decoding",
    "preprocess": "Preprocessing",
    "inference": "Inference",
}


def judge(result: Result, *, images: ImageFacts, limits: Limits, decode: str) -> BottleneckReport | None:
    """Compare a line with its steps and with the machine; ``None`` where the line or a step is missing."""
    if result.end_to_end_per_s is None or not result.inference:
        return None
    inference_per_s = max(rate.per_s for rate in result.inference)
    # Each step has all cores: the seconds of an image add up.
    seconds: dict[Step, float] = {
        "decode": 1 / images.decode_per_s,
        "preprocess": 1 / images.preprocess_per_s,
        "inference": 1 / inference_per_s,
    }
    total_s = sum(seconds.values())
    multiply_per_s = _multiply_rate(result.work, limits)
    limit_per_s = None
    if multiply_per_s is not None:
        limit_per_s = 1 / (seconds["decode"] + seconds["preprocess"] + 1 / multiply_per_s)
    bottleneck = max(seconds, key=lambda step: seconds[step])
    shares = {step: value / total_s for step, value in seconds.items()}
    return BottleneckReport(
        multiply_per_s=multiply_per_s,
        limit_per_s=limit_per_s,
        limit_share=None if limit_per_s is None else result.end_to_end_per_s / limit_per_s,
        steps_per_s=1 / total_s,
        steps_share=result.end_to_end_per_s * total_s,
        time_shares=shares,
        bottleneck=bottleneck,
        advice=f"{_NAMES[bottleneck]} takes {shares[bottleneck]:.0%} of the time"
        + _advise(
            bottleneck, result.work, images=images, limits=limits, decode=decode,
            reached=None if multiply_per_s is None else inference_per_s / multiply_per_s,
        ),
    )  # fmt: skip


def _multiply_rate(work: GraphWork | None, limits: Limits) -> float | None:
    if work is None:
        return None
    rate = limits.int8 if work.arithmetic == "int8" else limits.float32
    return None if rate is None else rate.gops * 1e9 / (2 * work.multiply_adds)


def _advise(
    bottleneck: Step,
    work: GraphWork | None,
    *,
    images: ImageFacts,
    limits: Limits,
    decode: str,
    reached: float | None,
) -> str:
    """The rest of the sentence: what would help."""
    if bottleneck == "inference":
        so_far = "" if reached is None else f", at {reached:.0%} of what this machine can multiply"
        if work is None or work.arithmetic == "int8" or limits.float32 is None or limits.int8 is None:
            return f"{so_far}."
        gain = limits.int8.gops / limits.float32.gops
        helps = f"; weights of 8-bit integers multiply {gain:.1f} times as fast here"
        return f"{so_far}{helps if gain >= _WORTH else ''}."
    if decode == "fast" or images.fast_decode_gain < _WORTH:
        return "; only smaller images would help."
    return f"; decode='fast' would decode these images {images.fast_decode_gain:.1f} times as fast."
