"""The scoring parameters of a request."""

from __future__ import annotations

from typing import Any

import pytest

from pictag.errors import OptionError
from pictag.options import ScoringOptions
from pictag.server.http_errors import BadRequest
from pictag.server.scoring import read_scoring


def test_parameters_take_precedence_over_the_query_and_the_query_over_the_default() -> None:
    def top_k(parameters: dict[str, Any], query: dict[str, str]) -> int | None:
        return read_scoring(parameters, query, default_top_k=5).top_k

    assert top_k({"top_k": 2}, {"top_k": "3"}) == 2
    assert top_k({"top_k": None}, {"top_k": "3"}) == 3
    assert top_k({}, {}) == 5


def test_all_parameters_are_read() -> None:
    asked = {"top_k": 1, "function_to_apply": "sigmoid", "min_score": 0.25}
    wanted = ScoringOptions(top_k=1, function_to_apply="sigmoid", min_score=0.25)
    assert read_scoring(asked, {}, default_top_k=5) == wanted
    assert read_scoring({}, {name: str(value) for name, value in asked.items()}, default_top_k=5) == wanted


@pytest.mark.parametrize("top_k", [-1, 0, 2**63, "5", True, 2.0, [], {}, 1e300])
def test_an_invalid_top_k_is_rejected(top_k: object) -> None:
    with pytest.raises((BadRequest, OptionError), match="top_k"):
        read_scoring({"top_k": top_k}, {}, default_top_k=5)


@pytest.mark.parametrize("top_k", ["-1", "0", str(2**63), "five", "", "1.5", "1_0", "٣", "9" * 5000, "--1"])
def test_an_invalid_top_k_in_the_query_is_rejected(top_k: str) -> None:
    with pytest.raises((BadRequest, OptionError), match="top_k"):
        read_scoring({}, {"top_k": top_k}, default_top_k=5)


@pytest.mark.parametrize("value", ["nan", "inf", "half", "", "1_0", "9" * 5000])
def test_an_invalid_min_score_is_rejected(value: str) -> None:
    with pytest.raises((BadRequest, OptionError), match="min_score"):
        read_scoring({}, {"min_score": value}, default_top_k=5)


@pytest.mark.parametrize("function", ["Softmax", "", 3, [], "x" * 10_000])
def test_an_unknown_function_is_rejected(function: object) -> None:
    with pytest.raises(OptionError, match="softmax, sigmoid, none") as caught:
        read_scoring({"function_to_apply": function}, {}, default_top_k=5)
    assert len(str(caught.value)) < 400


def test_an_unknown_parameter_is_rejected_with_a_suggestion() -> None:
    with pytest.raises(BadRequest, match=r"'topk'\. Did you mean 'top_k'"):
        read_scoring({"topk": 3}, {}, default_top_k=5)
    with pytest.raises(BadRequest, match=r"query parameter 'k'\. Known: top_k, function_to_apply"):
        read_scoring({}, {"k": "3"}, default_top_k=5)
