"""Invalid options are errors that name the value."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictag.errors import OptionError, UnknownOption
from pictag.options import (
    check_count,
    check_folder,
    check_min_score,
    check_seconds,
    check_top_k,
    refuse_unknown_options,
)


@pytest.mark.parametrize("good", [1, 5, 2**70, np.int64(3), np.uint8(1)])
def test_any_integer_type_is_accepted(good: Any) -> None:
    assert check_top_k(good) == int(good)
    assert check_count("batch_size", good) == int(good)


def test_no_top_k_means_all_labels() -> None:
    assert check_top_k(None) is None


@pytest.mark.parametrize("bad", [0, -1, True, False, 2.0, "5", [1], np.array([1, 2]), float("nan")])
def test_a_value_that_is_not_a_count_is_rejected(bad: Any) -> None:
    with pytest.raises(OptionError, match="top_k="):
        check_top_k(bad)
    with pytest.raises(OptionError, match="threads="):
        check_count("threads", bad)


@pytest.mark.parametrize("bad", [True, "0.5", None, float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_rejected(bad: Any) -> None:
    with pytest.raises(OptionError, match="min_score="):
        check_min_score(bad)


@pytest.mark.parametrize("bad", [True, "1", None, 0, -1, float("nan"), float("inf"), 1e10])
def test_seconds_must_be_above_zero(bad: Any) -> None:
    with pytest.raises(OptionError, match="timeout_s="):
        check_seconds("timeout_s", bad)


def test_a_folder_is_a_str_or_a_path() -> None:
    assert check_folder("cache_dir", "a/b") == check_folder("cache_dir", Path("a/b")) == Path("a/b")
    with pytest.raises(OptionError, match="cache_dir=5"):
        check_folder("cache_dir", 5)


def test_the_error_for_an_unknown_option_names_the_nearest() -> None:
    @refuse_unknown_options
    def classify(*, top_k: int = 1) -> int:
        return top_k

    assert classify(top_k=2) == 2
    with pytest.raises(UnknownOption, match="Did you mean 'top_k'"):
        classify(topk=3)  # type: ignore[call-arg]
    with pytest.raises(UnknownOption, match="options are: top_k"):
        classify(colour=3)  # type: ignore[call-arg]
