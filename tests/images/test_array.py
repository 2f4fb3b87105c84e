"""numpy arrays as images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pictag.errors import CorruptImage, UnsupportedInput
from pictag.images import make_source, read_image


def pixels(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.asarray(read_image(make_source(array)).rgb)


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4), (1, 1), (1, 700)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool", "float16", "float32", "float64", ">u2", ">f4"])
def test_every_shape_and_type_is_read(shape: tuple[int, ...], dtype: str) -> None:
    image = read_image(make_source(np.ones(shape, dtype=dtype)))
    assert image.original_size == image.rgb.size == (shape[1], shape[0])
    assert image.rgb.mode == "RGB"
    assert image.format is None


def test_8_bit_colour_is_unchanged_even_in_non_contiguous_views() -> None:
    array = np.arange(120, dtype=np.uint8).reshape(4, 10, 3)
    for view in (array, array[:, ::-2]):
        assert np.array_equal(pixels(view), view)


def test_one_channel_is_grey_with_or_without_a_channel_axis() -> None:
    array = np.arange(20, dtype=np.uint8).reshape(4, 5)
    assert np.array_equal(pixels(array), pixels(array[:, :, None]))
    assert np.array_equal(pixels(array)[:, :, 2], array)


def test_deeper_values_are_scaled() -> None:
    assert pixels(np.array([[0, 65535]], dtype=np.uint16))[0, :, 0].tolist() == [0, 255]
    assert pixels(np.full((1, 1, 3), 32768, dtype=np.uint16)).ravel().tolist() == [128] * 3
    assert pixels(np.array([[False, True]]))[0, :, 0].tolist() == [0, 255]
    assert pixels(np.array([[0.0, 0.5, 1.0]]))[0, :, 0].tolist() == [0, 128, 255]
    assert pixels(np.array([[0.0, 99.0, 255.0]]))[0, :, 0].tolist() == [0, 99, 255]
    assert pixels(np.array([[-2.0, 0.0, 2.0]]))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_values_are_an_error(bad: float) -> None:
    with pytest.raises(CorruptImage, match="not finite"):
        pixels(np.array([[0.0, bad]]))
    with pytest.raises(CorruptImage, match="not finite"):
        pixels(np.full((2, 2, 3), bad))


def test_the_error_for_a_normalised_colour_array_names_its_range() -> None:
    with pytest.raises(CorruptImage, match=r"-2\.1 to 2\.6"):
        pixels(np.array([[[-2.1, 0.0, 2.6]]]))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((), "no axes"),
        ((5,), "shape 5"),
        ((4, 5, 2), "4×5×2"),
        ((3, 4, 5), r"transpose\(1, 2, 0\)"),
        ((2, 4, 5, 3), r"list\(array\)"),
        ((0, 5), "empty"),
        ((5, 0, 3), "empty"),
    ],
)
def test_an_unsupported_shape_is_an_error_with_a_hint(shape: tuple[int, ...], hint: str) -> None:
    with pytest.raises(UnsupportedInput, match=hint):
        make_source(np.zeros(shape, dtype=np.uint8))


@pytest.mark.parametrize("dtype", ["int64", "int32", "uint32", "int8", "complex64", "object", "U1"])
def test_an_unsupported_dtype_is_an_error(dtype: str) -> None:
    with pytest.raises(UnsupportedInput, match="is not an image"):
        make_source(np.zeros((2, 2), dtype=dtype))


def test_the_array_is_not_changed() -> None:
    array = np.linspace(0, 1, 12).reshape(3, 4)
    before = array.copy()
    pixels(array)
    assert np.array_equal(array, before)
