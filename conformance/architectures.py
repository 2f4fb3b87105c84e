"""One tiny, randomly initialised model for every architecture with a classification head.

`ARCHITECTURES` maps a ``model_type`` to the edge of its input and the values of its configuration: as few and
as narrow layers as the architecture allows. `LEFT_OUT` lists those that cannot be compared, with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LABELS = 7

_VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """``edge`` is the side of the model's square input, ``processor`` the class named in its files."""

    processor: str
    edge: int
    values: dict[str, Any] = field(default_factory=dict)
    head: str = ""


def _vision(**values: Any) -> dict[str, Any]:
    return {"vision_config": {**_VIT, **values}}


ARCHITECTURES: dict[str, Architecture] = {
    "beit": Architecture(
        processor="BeitImageProcessor", edge=32, values={**_VIT, "image_size": 32, "patch_size": 8}
    ),
    "bit": Architecture(
        processor="BitImageProcessor",
        edge=32,
        values={"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_groups": 2},
    ),
    "clip": Architecture(
        processor="CLIPImageProcessor",
        edge=32,
        values=_vision(image_size=32, patch_size=8, projection_dim=16),
    ),
    "convnext": Architecture(
        processor="ConvNextImageProcessor",
        edge=32,
        values={"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    ),
    "convnextv2": Architecture(
        processor="ConvNextImageProcessor",
        edge=32,
        values={"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    ),
    "cvt": Architecture(
        processor="ConvNextImageProcessor",
        edge=32,
        values={"embed_dim": [8, 16, 16], "num_heads": [1, 2, 2], "depth": [1, 2, 3]},
    ),
    "data2vec-vision": Architecture(
        processor="BeitImageProcessor", edge=32, values={**_VIT, "image_size": 32, "patch_size": 8}
    ),
    "deit": Architecture(
        processor="DeiTImageProcessor", edge=32, values={**_VIT, "image_size": 32, "patch_size": 8}
    ),
    "dinov2": Architecture(
        processor="BitImageProcessor", edge=28, values={**_VIT, "image_size": 28, "patch_size": 7}
    ),
    "dinov2_with_registers": Architecture(
        processor="BitImageProcessor", edge=28, values={**_VIT, "image_size": 28, "patch_size": 7}
    ),
    "efficientnet": Architecture(
        processor="EfficientNetImageProcessor",
        edge=32,
        values={
            "image_size": 32,
            "width_coefficient": 0.25,
            "depth_coefficient": 0.25,
            "hidden_dim": 320,
            "in_channels": [32, 16, 24],
            "out_channels": [16, 24, 40],
            "kernel_sizes": [3, 3, 5],
            "strides": [1, 2, 2],
            "num_block_repeats": [1, 1, 1],
            "expand_ratios": [1, 6, 6],
            "depthwise_padding": [],
        },
    ),
    "focalnet": Architecture(
        processor="BitImageProcessor",
        edge=32,
        values={
            "image_size": 32,
            "embed_dim": 8,
            "hidden_sizes": [8, 16],
            "depths": [1, 1],
            "focal_levels": [1, 1],
            "focal_windows": [3, 3],
        },
    ),
    "hgnet_v2": Architecture(
        processor="ConvNextImageProcessor",
        edge=32,
        values={
            "embedding_size": 8,
            "hidden_sizes": [16, 16, 16, 16],
            "depths": [1, 1, 1, 1],
            "stem_channels": [3, 8, 8],
            "stage_in_channels": [8, 16, 16, 16],
            "stage_mid_channels": [8, 8, 8, 8],
            "stage_out_channels": [16, 16, 16, 16],
            "stage_num_blocks": [1, 1, 1, 1],
            "stage_numb_of_layers": [1, 1, 1, 1],
        },
    ),
    "hiera": Architecture(
        processor="BitImageProcessor",
        edge=64,
        values={
            "image_size": [64, 64],
            "embed_dim": 8,
            "depths": [1, 1, 1],
            "num_heads": [1, 1, 2],
            "query_stride": [2, 2],
            "num_query_pool": 2,
            "masked_unit_size": [4, 4],
        },
    ),
    "ijepa": Architecture(
        processor="ViTImageProcessor", edge=32, values={**_VIT, "image_size": 32, "patch_size": 8}
    ),
    "levit": Architecture(
        processor="LevitImageProcessor",
        edge=64,
        values={
            "image_size": 64,
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": [2, 2, 2],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
        head="LevitForImageClassification",
    ),
    "metaclip_2": Architecture(
        processor="CLIPImageProcessor",
        edge=32,
        values=_vision(image_size=32, patch_size=8, projection_dim=16),
    ),
    "mobilenet_v1": Architecture(
        processor="MobileNetV1ImageProcessor",
        edge=32,
        values={"image_size": 32, "depth_multiplier": 0.25, "min_depth": 8},
    ),
    "mobilenet_v2": Architecture(
        processor="MobileNetV2ImageProcessor",
        edge=32,
        values={"image_size": 32, "depth_multiplier": 0.25, "min_depth": 8},
    ),
    "mobilevit": Architecture(
        processor="MobileViTImageProcessor",
        edge=32,
        values={
            "image_size": 32,
            "hidden_sizes": [16, 16, 24],
            "neck_hidden_sizes": [8, 8, 8, 16, 16, 16, 32],
            "num_attention_heads": 2,
        },
    ),
    "mobilevitv2": Architecture(
        processor="MobileViTImageProcessor",
        edge=64,
        values={
            "image_size": 64,
            "width_multiplier": 0.25,
            "base_attn_unit_dims": [32, 32, 32],
            "n_attn_blocks": [1, 1, 1],
        },
    ),
    "perceiver": Architecture(
        processor="PerceiverImageProcessor",
        edge=32,
        values={
            "image_size": 32,
            "num_latents": 8,
            "d_latents": 16,
            "d_model": 64,
            "num_blocks": 1,
            "num_self_attends_per_block": 1,
            "num_self_attention_heads": 2,
            "num_cross_attention_heads": 1,
        },
        head="PerceiverForImageClassificationConvProcessing",
    ),
    "poolformer": Architecture(
        processor="PoolFormerImageProcessor",
        edge=32,
        values={"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    ),
    "pp_lcnet": Architecture(processor="PPLCNetImageProcessor", edge=32, values={"scale": 0.25}),
    "pvt": Architecture(
        processor="PvtImageProcessor",
        edge=64,
        values={
            "image_size": 64,
            "hidden_sizes": [8, 16, 16, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 2, 2],
        },
    ),
    "pvt_v2": Architecture(
        processor="PvtImageProcessor",
        edge=64,
        values={
            "image_size": 64,
            "hidden_sizes": [8, 16, 16, 32],
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 2, 2],
        },
    ),
    "regnet": Architecture(
        processor="ConvNextImageProcessor",
        edge=32,
        values={
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 16, 16],
            "depths": [1, 1, 1, 1],
            "groups_width": 8,
        },
    ),
    "resnet": Architecture(
        processor="ConvNextImageProcessor",
        edge=32,
        values={"embedding_size": 8, "hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1]},
    ),
    "segformer": Architecture(
        processor="SegformerImageProcessor",
        edge=64,
        values={"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 2, 2]},
    ),
    "siglip": Architecture(
        processor="SiglipImageProcessor", edge=32, values=_vision(image_size=32, patch_size=8)
    ),
    "swiftformer": Architecture(
        processor="ViTImageProcessor",
        edge=64,
        values={"depths": [1, 1, 1, 1], "embed_dims": [16, 16, 24, 24]},
    ),
    "swin": Architecture(
        processor="ViTImageProcessor",
        edge=32,
        values={
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "window_size": 4,
        },
    ),
    "swinv2": Architecture(
        processor="ViTImageProcessor",
        edge=32,
        values={
            "image_size": 32,
            "patch_size": 2,
            "embed_dim": 8,
            "depths": [1, 1],
            "num_heads": [1, 2],
            "window_size": 4,
        },
    ),
    "textnet": Architecture(
        processor="TextNetImageProcessor",
        edge=64,
        values={
            "stem_out_channels": 8,
            "hidden_sizes": [8, 8, 16, 16, 16],
            "conv_layer_kernel_sizes": [[[3, 3]], [[3, 3]], [[3, 3]], [[3, 1]]],
            "conv_layer_strides": [[1], [2], [2], [2]],
        },
    ),
    "vit": Architecture(
        processor="ViTImageProcessor", edge=32, values={**_VIT, "image_size": 32, "patch_size": 8}
    ),
    "vit_msn": Architecture(
        processor="ViTImageProcessor", edge=32, values={**_VIT, "image_size": 32, "patch_size": 8}
    ),
}

LEFT_OUT = {
    "dinat": "needs the package natten, which has to be compiled",
    "donut-swin": "its processor reads documents (unsupported)",
    "imagegpt": "takes colour clusters, not pixel values (unsupported)",
    "shieldgemma2": "also takes text (unsupported)",
    "siglip2": "takes a varying number of patches (unsupported)",
    "timm_wrapper": "needs timm and torchvision; see the golden numbers",
}
