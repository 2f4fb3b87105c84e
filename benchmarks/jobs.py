"""The races, and pictag's targets compared with its peers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from benchmarks.material import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Race:
    """One model and one image size: all systems run in turns."""

    key: str
    title: str
    model: Literal["vit", "mobilenet_v2"]
    images: Size
    image_count: int
    min_images: int
    decode: Literal["exact", "fast"]
    limit: Literal["multiply", "steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A row of the table: what runs, and the minimum ratio to each peer's fastest setting.

    transformers.js is compared with the fastest of its ``js_dtypes``. "dynamic int8" is ``q8`` as on the Hub;
    its ``of_limit`` is ``None``, because ranges are computed at run time.
    """

    race: str
    title: str
    weights: Literal["float", "int8", "dynamic int8"]
    engine: Literal["onnxruntime", "best"]
    over_transformers: float
    over_transformers_js: float
    js_dtypes: tuple[str, ...]
    of_limit: float | None


RACES = (
    Race(
        key="vit-500x375",
        title="ViT-B/16, 500×375",
        model="vit",
        images="500x375",
        image_count=100,
        min_images=32,
        decode="exact",
        limit="multiply",
    ),
    Race(
        key="mobilenet_v2-500x375",
        title="MobileNetV2, 500×375",
        model="mobilenet_v2",
        images="500x375",
        image_count=100,
        min_images=96,
        decode="exact",
        limit="steps",
    ),
    Race(
        key="mobilenet_v2-12mp",
        title="MobileNetV2, 12 MP",
        model="mobilenet_v2",
        images="12mp",
        image_count=24,
        min_images=32,
        decode="fast",
        limit="steps",
    ),
)

JOBS = (
    Job(
        race="vit-500x375",
        title="ViT-B/16, 500×375, calibrated int8",
        weights="int8",
        engine="best",
        over_transformers=3.5,
        over_transformers_js=2.2,
        js_dtypes=("q8",),
        of_limit=0.70,
    ),
    Job(
        race="vit-500x375",
        title="ViT-B/16, 500×375, float32, ONNX Runtime",
        weights="float",
        engine="onnxruntime",
        over_transformers=1.1,
        over_transformers_js=1.05,
        js_dtypes=("fp32",),
        of_limit=0.85,
    ),
    Job(
        race="vit-500x375",
        title="ViT-B/16, 500×375, q8 as on the Hub (dynamic int8)",
        weights="dynamic int8",
        engine="onnxruntime",
        over_transformers=1,
        over_transformers_js=1,
        js_dtypes=("q8",),
        of_limit=None,
    ),
    Job(
        race="mobilenet_v2-500x375",
        title="MobileNetV2, 500×375, float",
        weights="float",
        engine="best",
        over_transformers=6,
        over_transformers_js=2.5,
        js_dtypes=("fp32",),
        of_limit=0.85,
    ),
    Job(
        race="mobilenet_v2-500x375",
        title="MobileNetV2, 500×375, int8",
        weights="int8",
        engine="best",
        over_transformers=8,
        over_transformers_js=3.5,
        js_dtypes=("fp32", "q8"),
        of_limit=0.85,
    ),
    Job(
        race="mobilenet_v2-12mp",
        title='MobileNetV2, 12 MP, decode="fast", int8',
        weights="int8",
        engine="best",
        over_transformers=9,
        over_transformers_js=4,
        js_dtypes=("fp32", "q8"),
        of_limit=0.85,
    ),
)
