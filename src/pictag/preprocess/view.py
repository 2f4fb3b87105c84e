"""Which part of an image the model's input shows, in the image's own pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.preprocess.resize import center_box, fraction_size, resized_size
from pictag.preprocess.steps import CenterCrop, CropFraction, Pad, PadToSquare, ResizeStep

if TYPE_CHECKING:
    from pictag.preprocess.resize import Size
    from pictag.preprocess.spec import PreprocessSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A rectangle in an image's own pixels: 0 is the left or upper edge of the first pixel.

    It extends beyond the image where the model's input is padded.
    """

    top: float
    left: float
    bottom: float
    right: float

    def magnify(self, inner: View, size: Size) -> View:
        """The part ``inner`` of this view, in the image's pixels; ``inner`` is in pixels of a copy of the
        view with this (height, width).

        >>> half = View(top=0, left=0, bottom=100, right=50)
        >>> half.magnify(View(top=1, left=0, bottom=2, right=1), (4, 2))
        View(top=25.0, left=0.0, bottom=50.0, right=25.0)
        """
        y, x = (self.bottom - self.top) / size[0], (self.right - self.left) / size[1]
        return View(
            top=self.top + y * inner.top,
            left=self.left + x * inner.left,
            bottom=self.top + y * inner.bottom,
            right=self.left + x * inner.right,
        )


def trace_view(spec: PreprocessSpec, size: Size) -> View:
    """What the model's input shows of an image of ``size`` (height, width).

    >>> from pictag.preprocess.spec import plain_spec
    >>> trace_view(plain_spec(size=(224, 224), mean=[0.5], std=[0.5], crop=True), (448, 896))
    View(top=0.0, left=224.0, bottom=448.0, right=672.0)
    """
    view = View(top=0, left=0, bottom=size[0], right=size[1])
    for step in spec.steps:
        match step:
            case CenterCrop():
                left, top, right, bottom = center_box(step, size)
            case CropFraction():
                height, width = fraction_size(step, size)
                cut = CenterCrop(height=max(1, height), width=max(1, width))
                left, top, right, bottom = center_box(cut, size)
            case PadToSquare():
                edge = max(size)
                left, top = -((edge - size[1]) // 2), -((edge - size[0]) // 2)
                right, bottom = left + edge, top + edge
            case Pad():
                left, top, right, bottom = 0, 0, step.width, step.height
            case _:
                size = resized_size(step, size) if isinstance(step, ResizeStep) else size
                continue
        view = view.magnify(View(top=top, left=left, bottom=bottom, right=right), size)
        size = bottom - top, right - left
    return view
