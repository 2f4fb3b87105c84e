"""numpy arrays as images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pictag.errors import CorruptImage, PictagWarning, UnsupportedInput
from pictag.images import is_single, make_source, read_image


def pixels(array: Any) -> NDArray[np.uint8]:
    return np.asarray(read_image(make_source(array)).rgb)


@pytest.mark.parametrize("shape", [(3, 5), (3, 5, 1), (3, 5, 3), (3, 5, 4), (1, 1), (1, 700)])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "bool", "float16", "float32", "float64", ">u2", ">f4"])
def test_every_shape_and_type_is_read(shape: tuple[int, ...], dtype: str) -> None:
    value = {"uint8": 7, "uint16": 20_000, ">u2": 20_000}.get(dtype, 1)
    image = read_image(make_source(np.full(shape, value, dtype)))
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


FLOATS = ["float16", "float32", "float64", "longdouble", ">f4"]
SHAPES = [(2, 3), (2, 3, 1), (2, 3, 3), (2, 3, 4)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("top", [1.000001, 1.001, 1.03, 1.0499])
def test_floats_slightly_above_1_are_clipped(dtype: str, shape: tuple[int, ...], top: float) -> None:
    array = np.linspace(0, 0.9, math.prod(shape)).reshape(shape)
    array[-1, -1] = 1
    expected = pixels(array.astype(dtype))
    array[-1, -1] = top
    assert np.array_equal(pixels(array.astype(dtype)), expected)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_whole_numbers_as_floats_are_8_bit_values(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)
    assert np.array_equal(pixels(array.astype(dtype)), pixels(array))


@pytest.mark.parametrize("shape", [(2, 3, 3), (2, 3, 4)])
@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 1.06),
        (0.0, 1.5),
        (0.0, 254.6),
        (0.0, 256.0),
        (-0.01, 1.0),
        (-1.0, 1.0),
        (-2.0, 255.0),
        (0.0, 65535.0),
    ],
)
def test_colour_floats_of_another_range_are_an_error_that_says_what_to_do(
    shape: tuple[int, ...], low: float, high: float
) -> None:
    array = np.linspace(low, high, math.prod(shape)).reshape(shape)
    with pytest.raises(CorruptImage, match=r"^<array>: .*0…1 or whole numbers of 0…255; .*clip\(0, 1\)"):
        pixels(array)


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1)])
@pytest.mark.parametrize(
    "values",
    [[-2, 0, 2], [0, 0.6, 1.2], [0.5, 100.5, 200.5], [100, 200, 300], [-3e4, 0, 3e4], [-0.01, 0.495, 1]],
)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_grey_floats_of_another_range_are_stretched_with_a_warning(
    shape: tuple[int, ...], values: list[float], dtype: str
) -> None:
    with pytest.warns(PictagWarning, match="stretched"):
        found = pixels(np.array(values, dtype=dtype).reshape(shape))[0, :, 0]
    assert found.tolist() in ([0, 127, 255], [0, 128, 255])


def test_zeros_and_ones_in_uint8_are_read_with_a_warning() -> None:
    """A mask, or an image that was divided by 255 in integers."""
    for shape in ((1, 2), (1, 2, 1), (1, 2, 3), (1, 2, 4)):
        with pytest.warns(PictagWarning, match="no value above 1"):
            assert pixels(np.ones(shape, np.uint8)).max() == 1
    assert pixels(np.zeros((1, 2), np.uint8)).max() == 0
    assert pixels(np.full((1, 2), 2, np.uint8)).max() == 2


def test_dark_16_bit_values_are_read_with_a_warning() -> None:
    """Values of 8 or 12 bits in a type of 16 would be nearly black."""
    for top in (200, 4095):
        for shape in ((1, 2), (1, 2, 3)):
            with pytest.warns(PictagWarning, match="only 12 bits"):
                pixels(np.full(shape, top, np.uint16))


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
        ((1, 4, 5), r"permute\(1, 2, 0\)"),
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


def test_a_masked_array_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UnsupportedInput, match=r"array\.filled"):
        make_source(np.ma.masked_equal(np.zeros((2, 2), np.uint8), 0))


class Tensor:
    """An array of another library: it can be converted and iterated, like those of PyTorch and JAX."""

    def __init__(self, values: NDArray[Any], problem: Exception | None = None) -> None:
        self._values, self._problem = values, problem

    @property
    def ndim(self) -> int:
        return self._values.ndim

    def __iter__(self) -> Iterator[Tensor]:
        return (Tensor(row) for row in self._values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if self._problem is not None:
            raise self._problem
        return self._values


def test_an_array_of_another_library_is_one_image() -> None:
    array = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    for values in (array, array / 255, array[:, :, 0]):
        assert is_single(Tensor(values))
        assert make_source(Tensor(values)).name == "<array>"
        assert np.array_equal(pixels(Tensor(values)), pixels(values))


def test_several_images_in_one_array_of_another_library_are_several() -> None:
    batch = Tensor(np.zeros((2, 4, 5, 3), np.uint8))
    assert not is_single(batch)
    assert [make_source(image).name for image in batch] == ["<array>"] * 2


def test_channels_first_in_an_array_of_another_library_are_an_error() -> None:
    for shape in ((3, 8, 8), (1, 8, 8), (4, 8, 8)):
        with pytest.raises(UnsupportedInput, match=r"permute\(1, 2, 0\)"):
            make_source(Tensor(np.zeros(shape, np.float32)))


def test_an_array_that_cannot_be_converted_is_an_error_with_its_reason() -> None:
    for problem in (TypeError("can't convert cuda:0 device type tensor"), RuntimeError("it requires grad")):
        with pytest.raises(UnsupportedInput, match=rf"Tensor can't be read as an array: {problem}"):
            make_source(Tensor(np.zeros((2, 2)), problem))


def test_the_array_is_not_changed() -> None:
    array = np.linspace(0, 1, 12).reshape(3, 4)
    before = array.copy()
    pixels(array)
    assert np.array_equal(array, before)
