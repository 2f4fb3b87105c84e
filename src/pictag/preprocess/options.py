"""Reads and validates an image processor configuration, with the defaults of its class."""

from __future__ import annotations

from dataclasses import dataclass

from pictag.preprocess.classes import HALF, ProcessorClass, SizeSetting, square
from pictag.preprocess.steps import Resample
from pictag.preprocess.values import Settings, check_edge, read_flag, read_numbers, read_resample, read_share


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """All values of one processor, named as in its configuration."""

    settings: Settings
    do_resize: bool
    size: SizeSetting
    resample: Resample
    do_center_crop: bool
    crop_size: SizeSetting | None
    do_rescale: bool
    rescale_factor: float
    rescale_offset: bool
    do_normalize: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    include_top: bool
    do_flip_channel_order: bool
    do_pad: bool
    pad_size: SizeSetting | None
    crop_pct: float | None
    size_divisor: int
    resize_short: int | None
    over_white: bool


def read_options(defaults: ProcessorClass, settings: Settings, *, channels: int) -> Options:
    """The values of a configuration, or its class's defaults. Raises `InvalidModel`."""
    int_is_square = read_flag(settings, "default_to_square", defaults.int_is_square)
    size = _read_size(settings, ("size", "image_size"), int_is_square=int_is_square) or defaults.size
    if read_flag(settings, "use_square_size", False) and defaults.size.shortest_edge:
        size = square(defaults.size.shortest_edge)  # KOSMOS-2: overrides size
    divisor = settings.get("size_divisor")
    short = settings.get("resize_short")
    normalizes = read_flag(settings, "do_normalize", defaults.normalizes)
    include_top = read_flag(settings, "include_top", defaults.include_top)
    # Unused numbers may be invalid, for example three for a grey model that doesn't normalise.
    numbers = settings if normalizes or include_top else Settings(file=settings.file, values={})
    mean, std = (defaults.mean, defaults.std) if numbers is settings else (HALF, HALF)
    return Options(
        settings=settings,
        do_resize=read_flag(settings, "do_resize", True),
        size=size,
        resample=read_resample(settings, "resample", defaults.resample),
        do_center_crop=read_flag(settings, "do_center_crop", defaults.crops),
        crop_size=_read_size(settings, ("crop_size",), int_is_square=True)
        or (square(defaults.crop) if defaults.crop else None),
        do_rescale=read_flag(settings, "do_rescale", True),
        rescale_factor=read_numbers(settings, ("rescale_factor",), (1 / 255,), count=1, nonzero=True)[0],
        rescale_offset=read_flag(settings, "rescale_offset", False),
        do_normalize=normalizes,
        mean=read_numbers(numbers, ("image_mean", "mean"), mean, count=channels),
        std=read_numbers(numbers, ("image_std", "std"), std, count=channels, nonzero=True),
        include_top=include_top,
        do_flip_channel_order=read_flag(settings, "do_flip_channel_order", defaults.flips),
        do_pad=defaults.pads and read_flag(settings, "do_pad", False),
        pad_size=_read_size(settings, ("pad_size",), int_is_square=True),
        crop_pct=None
        if _is_null(settings, "crop_pct")
        else read_share(settings, "crop_pct", defaults.crop_pct),
        size_divisor=defaults.size_divisor
        if divisor is None
        else check_edge(settings, "size_divisor", divisor),
        resize_short=None
        if _is_null(settings, "resize_short")
        else check_edge(settings, "resize_short", short or 256),
        over_white=read_flag(settings, "do_convert_rgb", defaults.over_white),
    )


def _is_null(settings: Settings, key: str) -> bool:
    return key in settings.values and settings.values[key] is None


_SIZE_KEYS = (
    {"height", "width"},
    {"shortest_edge"},
    {"shortest_edge", "longest_edge"},
    {"longest_edge"},
    {"max_height", "max_width"},
)


def _read_size(settings: Settings, keys: tuple[str, ...], *, int_is_square: bool) -> SizeSetting | None:
    key = settings.find(keys)
    value = settings.get(key)
    if value is None:
        return None
    if isinstance(value, dict):
        edges = {name: edge for name, edge in value.items() if edge is not None}
        if set(edges) not in _SIZE_KEYS:
            raise settings.error(
                key,
                value,
                "must have height and width, shortest_edge, longest_edge, or max_height and max_width",
            )
        return SizeSetting(
            **{name: check_edge(settings, f"{key}.{name}", edge) for name, edge in edges.items()}
        )
    if isinstance(value, list | tuple) and len(value) == 2:
        height, width = (check_edge(settings, key, edge) for edge in value)
        return SizeSetting(height=height, width=width)
    edge = check_edge(
        settings, key, value[0] if isinstance(value, list | tuple) and len(value) == 1 else value
    )
    return square(edge) if int_is_square else SizeSetting(shortest_edge=edge)
