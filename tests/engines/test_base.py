"""A graph that contradicts the model's files is rejected with both values."""

from __future__ import annotations

from typing import Any

import pytest

from pictag.engines.base import TensorInfo, check_graph, choose_output
from pictag.errors import InvalidModel


def tensor(name: str, *shape: int | None, dtype: str = "float32") -> TensorInfo:
    return TensorInfo(name=name, shape=shape, dtype=dtype)


PIXELS = tensor("pixel_values", None, 3, 224, 224)
LOGITS = tensor("logits", None, 1000)
RIGHT: dict[str, Any] = {"label_count": 1000, "channels": 3, "size": (224, 224)}


def test_a_graph_that_matches_its_files_is_accepted() -> None:
    check_graph([PIXELS], [LOGITS], **RIGHT)
    check_graph([tensor("x", None, None, None, None)], [tensor("y", None, None)], **RIGHT)
    check_graph([tensor("x", 1, 224, 224, 3)], [LOGITS], **RIGHT, layout="NHWC")
    check_graph([tensor("x", None, 3, None, None, dtype="float16")], [LOGITS], **(RIGHT | {"size": None}))


@pytest.mark.parametrize(
    ("inputs", "change", "message"),
    [
        ([PIXELS], {"label_count": 999}, "scores 1000 labels, but the model's files name 999"),
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
        check_graph(inputs, [LOGITS], **(RIGHT | change))


def test_the_score_output_is_found_among_others() -> None:
    hidden, pooled = tensor("last_hidden_state", None, 197, 768), tensor("resnetv17_dense0_fwd", None, 1000)
    assert choose_output([hidden, LOGITS]).name == "logits"
    assert choose_output([hidden, pooled]).name == "resnetv17_dense0_fwd"
    assert choose_output([tensor("softmaxout_1", 1, 1000, 1, 1)]).name == "softmaxout_1"


def test_a_graph_without_scores_is_rejected() -> None:
    with pytest.raises(InvalidModel, match="last_hidden_state"):
        choose_output([tensor("last_hidden_state", None, 197, 768)])
