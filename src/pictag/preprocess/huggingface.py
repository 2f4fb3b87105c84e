"""Reads the image processor configurations of the Hugging Face Hub as transformers 5.23 does.

A missing key takes the default of its class (`pictag.preprocess.classes`); a null flag is false, any other
null value counts as missing. Some values on which transformers fails are accepted because their meaning is
clear: ``longest_edge`` alone keeps the aspect ratio, ``shortest_edge`` under ``crop_size`` is a square, and
``image_size``, ``mean`` and ``std`` are older names for ``size``, ``image_mean`` and ``image_std``.
"""

from __future__ import annotations

from collections.abc import Callable

from pictag.errors import UnsupportedProcessor, shorten
from pictag.preprocess.classes import CLASSES, UNSUPPORTED, Recipe, SizeSetting
from pictag.preprocess.options import Options, read_options
from pictag.preprocess.spec import PreprocessSpec
from pictag.preprocess.steps import (
    CenterCrop,
    CropFraction,
    FlattenOnWhite,
    FlipChannels,
    Normalize,
    Pad,
    Rescale,
    Resize,
    ResizeLongest,
    ResizeShortest,
    ResizeWithin,
    Step,
    ToGrayscale,
)
from pictag.preprocess.values import MAX_EDGE, Settings

CONVNEXT_WARP_FROM = 384
LEVIT_ENLARGES_BY = 256 / 224


def read_processor(name: str, settings: Settings, *, channels: int) -> PreprocessSpec:
    """The steps of the image processor ``name`` with these settings.

    Raises `UnsupportedProcessor` for an unknown class, and `InvalidModel` for an invalid value.
    """
    defaults = CLASSES.get(name)
    if defaults is None:
        raise unsupported(name, settings.file)
    options = read_options(defaults, settings, channels=channels)
    steps: list[Step] = []
    if options.over_white:
        steps.append(FlattenOnWhite())
    if channels == 1:
        steps.append(ToGrayscale())
    steps += _RECIPES[defaults.recipe](options)
    return PreprocessSpec(processor=name, steps=tuple(steps), channels=channels)


def unsupported(name: str, file: str) -> UnsupportedProcessor:
    """The error that names a class, why it isn't supported, and what to do."""
    why = UNSUPPORTED.get(name, "pictag doesn't know it")
    return UnsupportedProcessor(
        f"{file} requires the image processor {shorten(name, 80)}, which is unsupported: {why}. Use another "
        "export of the model, or describe its preprocessing in a pictag.toml in the model's folder."
    )


def _plain(o: Options) -> list[Step]:
    return [*_resize(o), *_crop(o), *_tones(o), *_pad(o)]


def _segformer(o: Options) -> list[Step]:
    return [*_resize(o), *_tones(o)]


def _convnext(o: Options) -> list[Step]:
    steps: list[Step] = []
    if o.do_resize:
        edge = _shortest_edge(o)
        if edge < CONVNEXT_WARP_FROM:
            if o.crop_pct is None:
                raise o.settings.error("crop_pct", None, f"a shortest_edge of {edge} needs it")
            steps.append(ResizeShortest(edge=_enlarged(o, edge / o.crop_pct), resample=o.resample))
            steps.append(CenterCrop(height=edge, width=edge))
        else:
            steps.append(Resize(height=edge, width=edge, resample=o.resample))
    return [*steps, *_crop(o), *_tones(o)]


def _efficientnet(o: Options) -> list[Step]:
    steps: list[Step] = [*_resize(o), *_crop(o), *_tones(o, offset=-1.0 if o.rescale_offset else 0.0)]
    if o.include_top:
        steps.append(Normalize(mean=(0.0,) * len(o.std), std=o.std))
    return steps


def _levit(o: Options) -> list[Step]:
    if o.do_resize and o.size.shortest_edge:
        edge = _enlarged(o, LEVIT_ENLARGES_BY * o.size.shortest_edge)
        return [ResizeShortest(edge=edge, resample=o.resample), *_crop(o), *_tones(o), *_pad(o)]
    return _plain(o)


def _mobilevit(o: Options) -> list[Step]:
    # The reference rescales before it crops. The result is the same, because the border is black either way.
    steps: list[Step] = [*_resize(o), *_crop(o)]
    if o.do_rescale:
        steps.append(Rescale(factor=o.rescale_factor))
    if o.do_flip_channel_order:
        steps.append(FlipChannels())
    return steps


def _perceiver(o: Options) -> list[Step]:
    steps: list[Step] = []
    if o.do_center_crop:
        crop = o.crop_size
        if crop is None or not (o.size.height and o.size.width and crop.height and crop.width):
            raise o.settings.error("size", _shown(o.size), "this processor crops by height and width")
        steps.append(CropFraction(height=o.size.height / crop.height, width=o.size.width / crop.width))
    return [*steps, *_resize(o), *_tones(o)]


def _poolformer(o: Options) -> list[Step]:
    size = o.size
    steps: list[Step] = []
    if o.crop_pct is None:
        steps += _resize(o)
    elif o.do_resize and size.height and size.width and size.height != size.width:
        height, width = _enlarged(o, size.height / o.crop_pct), _enlarged(o, size.width / o.crop_pct)
        steps.append(Resize(height=height, width=width, resample=o.resample))
    elif o.do_resize:
        edge = size.shortest_edge or size.height
        if edge is None:
            raise o.settings.error(
                "size", _shown(size), "this processor needs shortest_edge, or height and width"
            )
        steps.append(ResizeShortest(edge=_enlarged(o, edge / o.crop_pct), resample=o.resample))
    return [*steps, *_crop(o), *_tones(o), *_pad(o)]


def _textnet(o: Options) -> list[Step]:
    if not o.do_resize:
        return [*_crop(o), *_tones(o)]
    resize = ResizeShortest(edge=_shortest_edge(o), resample=o.resample, multiple=o.size_divisor)
    return [resize, *_crop(o), *_tones(o)]


def _pplcnet(o: Options) -> list[Step]:
    # In transformers this processor needs torchvision; pictag uses its geometry with Pillow's filters.
    steps: list[Step] = []
    if o.do_resize and o.resize_short is None:
        steps += _resize(o)
    elif o.do_resize and o.resize_short:
        steps.append(
            ResizeShortest(
                edge=o.resize_short, resample=o.resample, multiple=o.size_divisor, rounding="nearest"
            )
        )
    if o.do_center_crop:
        height, width = _crop_edges(o)
        steps.append(CenterCrop(height=height, width=width, odd_pixel="torchvision"))
    return [*steps, *_tones(o), FlipChannels()]


_RECIPES: dict[Recipe, Callable[[Options], list[Step]]] = {
    "plain": _plain,
    "segformer": _segformer,
    "convnext": _convnext,
    "efficientnet": _efficientnet,
    "levit": _levit,
    "mobilevit": _mobilevit,
    "perceiver": _perceiver,
    "poolformer": _poolformer,
    "textnet": _textnet,
    "pplcnet": _pplcnet,
}


def _resize(o: Options) -> list[Step]:
    size = o.size
    if not o.do_resize:
        return []
    if size.shortest_edge:
        return [ResizeShortest(edge=size.shortest_edge, longest=size.longest_edge, resample=o.resample)]
    if size.max_height and size.max_width:
        return [ResizeWithin(height=size.max_height, width=size.max_width, resample=o.resample)]
    if size.height and size.width:
        return [Resize(height=size.height, width=size.width, resample=o.resample)]
    return [ResizeLongest(edge=size.longest_edge or MAX_EDGE, resample=o.resample)]


def _crop(o: Options) -> list[Step]:
    if not o.do_center_crop:
        return []
    height, width = _crop_edges(o)
    return [CenterCrop(height=height, width=width)]


def _crop_edges(o: Options) -> tuple[int, int]:
    size = o.crop_size
    if size is None:
        raise o.settings.error("crop_size", None, "do_center_crop is true, so a size is needed")
    height, width = size.height or size.shortest_edge, size.width or size.shortest_edge
    if height is None or width is None:
        raise o.settings.error("crop_size", _shown(size), "a crop needs height and width")
    return height, width


def _tones(o: Options, offset: float = 0.0) -> list[Step]:
    steps: list[Step] = []
    if o.do_rescale:
        steps.append(Rescale(factor=o.rescale_factor, offset=offset))
    if o.do_normalize:
        steps.append(Normalize(mean=o.mean, std=o.std))
    return steps


def _pad(o: Options) -> list[Step]:
    if not o.do_pad or o.pad_size is None:  # without a size, the batch decides: no padding
        return []
    size = o.pad_size
    if size.height is None or size.width is None:
        raise o.settings.error("pad_size", _shown(size), "padding needs height and width")
    return [Pad(height=size.height, width=size.width)]


def _shortest_edge(o: Options) -> int:
    if o.size.shortest_edge is None:
        raise o.settings.error("size", _shown(o.size), "this processor needs shortest_edge")
    return o.size.shortest_edge


def _enlarged(o: Options, exact: float) -> int:
    edge = int(exact)
    if not 1 <= edge <= 2 * MAX_EDGE:
        raise o.settings.error("size", _shown(o.size), f"it would be enlarged to {edge} pixels")
    return edge


def _shown(size: SizeSetting) -> dict[str, int]:
    names = ("height", "width", "shortest_edge", "longest_edge", "max_height", "max_width")
    return {name: edge for name in names if (edge := getattr(size, name)) is not None}
