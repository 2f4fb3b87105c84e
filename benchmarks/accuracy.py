"""Top-1 accuracy of MobileNetV2 on 200 photographs, float and quantized."""

from __future__ import annotations

from benchmarks.figures import MOBILENET_V2, SHARED, Figure, Options, require_shared

TARGETS = {"fp32": 0.86, "q8": 0.85}
REFERENCE = {"fp32": "169", "q8": "170 or 171"}


def run(_options: Options) -> list[Figure]:
    if not require_shared():
        return []
    from pictag import pipeline

    photographs = sorted((SHARED / "images" / "imagenet").glob("*_n*.jpg"))
    figures = []
    for dtype, target in TARGETS.items():
        with pipeline(model=MOBILENET_V2, dtype=dtype) as classifier:
            predictions = classifier.predict(photographs)
        # File names start with the ImageNet class (of 1000); the model's label 0 is the background.
        right = sum(
            prediction.labels[0].index == int(photograph.name.split("_")[0]) + 1
            for prediction, photograph in zip(predictions, photographs, strict=True)
        )
        figures.append(
            Figure(
                name=f"MobileNetV2 {dtype}, top-1 on photographs",
                measured=right / len(photographs),
                target=target,
                unit="",
                detail=f"{right} of {len(photographs)}; with the reference's processor: {REFERENCE[dtype]}",
                more=True,
            )
        )
    return figures
