"""The supported image processors with their defaults, which apply where a configuration lacks a key.

The values are those of transformers 5.23 (its PIL processors) unless a comment says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pictag.preprocess.steps import Resample

Recipe = Literal[
    "plain",
    "segformer",
    "convnext",
    "efficientnet",
    "levit",
    "mobilevit",
    "perceiver",
    "poolformer",
    "textnet",
    "pplcnet",
]
"""A processor's order of steps; `pictag.preprocess.huggingface` has one function for each."""

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeSetting:
    """A ``size`` in a configuration: both edges, the shorter or longer edge, or bounds."""

    height: int | None = None
    width: int | None = None
    shortest_edge: int | None = None
    longest_edge: int | None = None
    max_height: int | None = None
    max_width: int | None = None


def square(edge: int) -> SizeSetting:
    """The size of a square."""
    return SizeSetting(height=edge, width=edge)


def shortest(edge: int) -> SizeSetting:
    """A size given by the shorter edge."""
    return SizeSetting(shortest_edge=edge)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorClass:
    """The defaults of one image processor.

    With ``int_is_square``, a single number as ``size`` is both edges, otherwise the shorter one. ``pads``:
    whether ``do_pad`` has an effect. ``over_white``: a colour that the file declares transparent becomes
    white (because the processor itself converts to RGB).
    """

    recipe: Recipe = "plain"
    size: SizeSetting
    int_is_square: bool
    resample: Resample
    mean: tuple[float, ...] = HALF
    std: tuple[float, ...] = HALF
    crop: int | None = None
    crops: bool = False
    pads: bool = True
    normalizes: bool = True
    over_white: bool = False
    crop_pct: float = 1.0
    size_divisor: int = 1
    include_top: bool = False
    flips: bool = False


_CLIP = ProcessorClass(
    size=shortest(224),
    int_is_square=False,
    resample="bicubic",
    mean=CLIP_MEAN,
    std=CLIP_STD,
    crop=224,
    crops=True,
    over_white=True,
)
_MOBILENET = ProcessorClass(
    size=shortest(256), int_is_square=False, resample="bilinear", crop=224, crops=True
)
_MOBILENET_V2 = replace(_MOBILENET, pads=False)

CLASSES: dict[str, ProcessorClass] = {
    "ViTImageProcessor": ProcessorClass(size=square(224), int_is_square=True, resample="bilinear"),
    "DeiTImageProcessor": ProcessorClass(
        size=square(256), int_is_square=True, resample="bicubic", crop=224, crops=True
    ),
    "BeitImageProcessor": ProcessorClass(
        size=square(224), int_is_square=True, resample="bicubic", crop=224, pads=False
    ),
    "BitImageProcessor": _CLIP,
    "CLIPImageProcessor": _CLIP,
    "SiglipImageProcessor": ProcessorClass(
        size=square(224), int_is_square=False, resample="bicubic", over_white=True
    ),
    "ConvNextImageProcessor": ProcessorClass(
        recipe="convnext", size=shortest(384), int_is_square=False, resample="bicubic", crop_pct=224 / 256
    ),
    "EfficientNetImageProcessor": ProcessorClass(
        recipe="efficientnet",
        size=square(346),
        int_is_square=True,
        resample="bicubic",
        crop=289,
        include_top=True,
    ),
    "LevitImageProcessor": ProcessorClass(
        recipe="levit",
        size=shortest(224),
        int_is_square=False,
        resample="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=224,
        crops=True,
    ),
    "MobileNetV1ImageProcessor": _MOBILENET,
    "MobileNetV2ImageProcessor": _MOBILENET_V2,
    # Used by transformers.js for exports of timm's models, whose files contain all values.
    "MobileNetV3ImageProcessor": _MOBILENET_V2,
    "MobileNetV4ImageProcessor": _MOBILENET_V2,
    "MobileViTImageProcessor": ProcessorClass(
        recipe="mobilevit",
        size=shortest(224),
        int_is_square=False,
        resample="bicubic",
        crop=256,
        crops=True,
        normalizes=False,
        flips=True,
    ),
    "PerceiverImageProcessor": ProcessorClass(
        recipe="perceiver",
        size=square(224),
        int_is_square=True,
        resample="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=256,
        crops=True,
    ),
    "PoolFormerImageProcessor": ProcessorClass(
        recipe="poolformer",
        size=shortest(224),
        int_is_square=False,
        resample="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=224,
        crops=True,
        crop_pct=0.9,
    ),
    "PvtImageProcessor": ProcessorClass(
        size=square(224), int_is_square=True, resample="bicubic", mean=IMAGENET_MEAN, std=IMAGENET_STD
    ),
    "SegformerImageProcessor": ProcessorClass(
        recipe="segformer",
        size=square(512),
        int_is_square=True,
        resample="bilinear",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    ),
    "TextNetImageProcessor": ProcessorClass(
        recipe="textnet",
        size=shortest(640),
        int_is_square=False,
        resample="bilinear",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=224,
        over_white=True,
        size_divisor=32,
    ),
    "PPLCNetImageProcessor": ProcessorClass(
        recipe="pplcnet",
        size=square(256),
        int_is_square=True,
        resample="bilinear",
        mean=IMAGENET_MEAN[::-1],
        std=IMAGENET_STD[::-1],
        crop=224,
        crops=True,
        flips=True,
    ),
    # Part of transformers 4.57; published models still use them.
    "ViTHybridImageProcessor": _CLIP,
    "EfficientFormerImageProcessor": ProcessorClass(
        size=square(224),
        int_is_square=True,
        resample="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=224,
        crops=True,
    ),
}

UNSUPPORTED: dict[str, str] = {
    "ImageGPTImageProcessor": "it converts images to colour clusters (input_ids), not pixel values",
    "Siglip2ImageProcessor": "it splits images into a varying number of patches (NaFlex)",
    "DonutImageProcessor": "it rotates and pads whole documents",
    "Gemma3ImageProcessor": "its model also takes text",
}

_FAMILIES: dict[str, str] = {
    "ViTImageProcessor": "vit vit_mae vit_msn swin swinv2 swiftformer dinat ijepa nat",
    "BitImageProcessor": "bit dinov2 dinov2_with_registers focalnet hiera",
    "ConvNextImageProcessor": "convnext convnextv2 resnet regnet cvt van",
    "BeitImageProcessor": "beit data2vec-vision",
    "CLIPImageProcessor": "clip metaclip_2",
    "MobileViTImageProcessor": "mobilevit mobilevitv2",
    "PvtImageProcessor": "pvt pvt_v2",
    "DeiTImageProcessor": "deit",
    "EfficientNetImageProcessor": "efficientnet",
    "EfficientFormerImageProcessor": "efficientformer",
    "LevitImageProcessor": "levit",
    "MobileNetV1ImageProcessor": "mobilenet_v1",
    "MobileNetV2ImageProcessor": "mobilenet_v2",
    "PerceiverImageProcessor": "perceiver",
    "PoolFormerImageProcessor": "poolformer",
    "PPLCNetImageProcessor": "pp_lcnet",
    "SegformerImageProcessor": "segformer",
    "SiglipImageProcessor": "siglip",
    "TextNetImageProcessor": "textnet",
    "ViTHybridImageProcessor": "vit_hybrid vit-hybrid",
    "ImageGPTImageProcessor": "imagegpt",
    "Siglip2ImageProcessor": "siglip2",
    "DonutImageProcessor": "donut-swin",
    "Gemma3ImageProcessor": "shieldgemma2",
}

CLASS_OF_MODEL_TYPE: dict[str, str] = {
    model_type: name for name, model_types in _FAMILIES.items() for model_type in model_types.split()
}
"""The default processor for each ``model_type`` in ``config.json``, if the files don't name one."""
