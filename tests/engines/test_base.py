"""A graph that contradicts the model's files is rejected with both values."""

from __future__ import annotations

from typing import Any

import pytest

from pictag.engines.base import TensorInfo, check_graph
from pictag.errors import InvalidModel


def tensor(name: str, *shape: int | None, dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name=name, shape=shape, dtype=dtype)


PIXELS = tensor("pixel_values", None, 3, 224, 224)
RIGHT: dict[str, Any] = {"channels": 3, "size": (224, 224)}


def test_a_graph_that_matches_its_files_is_accepted() -> None:
    check_graph([PIXELS], **RIGHT)
    check_graph([tensor("x", None, None, None, None)], **RIGHT)
    check_graph([tensor("x", 1, 224, 224, 3)], **RIGHT, layout="NHWC")
    check_graph([tensor("x", None, 3, None, None, dtype="float16")], **(RIGHT | {"size": None}))


@pytest.mark.parametrize(
    ("inputs", "change", "message"),
    [
        ([PIXELS], {"channels": 1}, "3 channels"),
        ([PIXELS], {"size": (256, 224)}, "224×224 .* makes 256×224"),
        ([PIXELS], {"layout": "NHWC"}, "NHWC"),
        ([PIXELS, tensor("mask", None, 1)], {}, "one 4-D float input"),
        ([tensor("input_ids", None, 196, dtype="tensor(int64)")], {}, "input_ids"),
        ([tensor("x", None, 3, 224, 224, dtype="tensor(bfloat16)")], {}, "bfloat16"),
        ([], {}, "none"),
    ],
)
def test_a_contradiction_is_an_error_that_names_it(
    inputs: list[TensorInfo], change: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidModel, match=message):
        check_graph(inputs, **(RIGHT | change))
