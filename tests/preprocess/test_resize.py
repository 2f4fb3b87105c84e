"""Properties of the resize geometry that hold for every image."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from pictag.preprocess.resize import center_box, resized_size
from pictag.preprocess.steps import (
    CenterCrop,
    CenterRounding,
    ResizeLongest,
    ResizeShortest,
    ResizeToCover,
    ResizeWithin,
)

edges = st.integers(1, 30_000)
sizes = st.tuples(edges, edges)
targets = st.integers(1, 2048)


@given(sizes, targets)
def test_the_shorter_edge_is_exact_and_the_longer_is_rounded_down(size: tuple[int, int], edge: int) -> None:
    new = resized_size(ResizeShortest(edge=edge, resample="bilinear"), size)
    assert min(new) == edge
    exact = edge * max(size) / min(size)
    assert max(new) <= exact + 1e-6 * exact
    assert max(new) > exact - 1 - 1e-6 * exact
    assert (new[0] >= new[1]) == (size[0] >= size[1]) or new[0] == new[1]


@given(sizes, targets, st.integers(0, 2048))
@example(size=(1, 5), edge=1, more=2)
def test_a_limit_on_the_longer_edge_holds(size: tuple[int, int], edge: int, more: int) -> None:
    new = resized_size(ResizeShortest(edge=edge, longest=edge + more, resample="bilinear"), size)
    # The reference doesn't resize an image whose shorter edge already has the resulting length, even if its
    # longer edge exceeds the limit.
    assert max(new) <= edge + more + 1 or new == size
    assert min(new) >= 1


@given(sizes, targets, st.integers(1, 64))
def test_multiples_are_rounded_up(size: tuple[int, int], edge: int, multiple: int) -> None:
    plain = resized_size(ResizeShortest(edge=edge, resample="bilinear"), size)
    new = resized_size(ResizeShortest(edge=edge, multiple=multiple, resample="bilinear"), size)
    for before, after in zip(plain, new, strict=True):
        assert after % multiple == 0
        assert before <= after < before + multiple


@given(sizes, targets, targets)
def test_a_fitting_size_is_inside_the_box_and_never_empty(
    size: tuple[int, int], height: int, width: int
) -> None:
    new = resized_size(ResizeWithin(height=height, width=width, resample="bicubic"), size)
    assert 1 <= new[0] <= height
    assert 1 <= new[1] <= width


@given(sizes, targets, targets)
def test_a_covering_size_fills_the_box(size: tuple[int, int], height: int, width: int) -> None:
    new = resized_size(ResizeToCover(height=height, width=width, resample="bicubic"), size)
    assert new[0] >= height
    assert new[1] >= width


@given(sizes, targets)
def test_the_longer_edge_is_exact(size: tuple[int, int], edge: int) -> None:
    assert max(resized_size(ResizeLongest(edge=edge, resample="bicubic"), size)) == edge


@given(sizes, targets, targets, st.sampled_from(["transformers", "torchvision", "timm"]))
def test_a_crop_has_the_size_asked_for_and_lies_in_the_centre(
    size: tuple[int, int], height: int, width: int, odd_pixel: CenterRounding
) -> None:
    left, top, right, bottom = center_box(CenterCrop(height=height, width=width, odd_pixel=odd_pixel), size)
    assert (bottom - top, right - left) == (height, width)
    assert abs(top + bottom - size[0]) <= 1
    assert abs(left + right - size[1]) <= 1


def test_the_odd_pixel_follows_each_rule() -> None:
    def left(odd_pixel: CenterRounding, edge: int, wanted: int) -> int:
        return center_box(CenterCrop(height=1, width=wanted, odd_pixel=odd_pixel), (1, edge))[0]

    assert [left(rule, 3, 6) for rule in ("transformers", "torchvision", "timm")] == [-2, -1, -1]
    assert [left(rule, 9, 6) for rule in ("transformers", "torchvision", "timm")] == [1, 1, 2]
