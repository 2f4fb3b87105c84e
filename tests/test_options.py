"""Invalid options are errors that name the value."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictag.errors import OptionError, UnknownOption
from pictag.options import (
    PipelineKeywords,
    PipelineOptions,
    ScoringKeywords,
    ScoringOptions,
    check_count,
    check_folder,
    check_min_score,
    check_seconds,
    check_top_k,
    read_pipeline_options,
    update_scoring_options,
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


@pytest.mark.parametrize("options", [ScoringOptions, PipelineOptions])
def test_every_field_is_documented(options: type) -> None:
    described = (inspect.getdoc(options) or "").partition("Args:")[2].partition("Raises:")[0]
    documented = re.findall(r"^ {4}(\w+): \S", described, re.M)
    assert documented == [option.name for option in fields(options)]


def test_fields_and_keywords_are_the_same() -> None:
    scoring = {option.name for option in fields(ScoringOptions)}
    own = {option.name for option in fields(PipelineOptions)} - {"model", "scoring"}
    assert set(ScoringKeywords.__annotations__) == scoring
    assert set(PipelineKeywords.__annotations__) == own | scoring


def test_keywords_become_options_and_the_defaults_of_calls() -> None:
    options = read_pipeline_options(
        {"model": "embedded", "cache_dir": "a/b", "threads": np.int64(2), "top_k": 5}
    )
    assert options == PipelineOptions(
        model="embedded", cache_dir=Path("a/b"), threads=2, scoring=ScoringOptions(top_k=5)
    )
    updated = update_scoring_options(options.scoring, {"min_score": 1})
    assert updated == ScoringOptions(top_k=5, min_score=1.0)
    assert update_scoring_options(updated, {}) is updated


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("topk", "top_k"), ("dtyp", "dtype"), ("maxpixels", "max_pixels"), ("engin", "engine")],
)
def test_the_error_for_an_unknown_option_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(UnknownOption, match=f"Did you mean '{nearest}'"):
        read_pipeline_options({name: 3})


def test_the_error_for_an_option_without_a_near_one_lists_them() -> None:
    listed = r"has no option 'colour'.*The options are: top_k, "
    with pytest.raises(UnknownOption, match=listed):
        update_scoring_options(ScoringOptions(), {"colour": 3})
    with pytest.raises(UnknownOption, match="'scoring'"):
        read_pipeline_options({"scoring": ScoringOptions()})


@pytest.mark.parametrize(
    "options",
    [
        {"top_k": 0}, {"top_k": "all"}, {"function_to_apply": "relu"}, {"min_score": "high"},
        {"batch_size": 0}, {"timeout_s": 0}, {"threads": 0}, {"threads": 2**40}, {"max_pixels": -1},
        {"max_pixels": None}, {"alpha": "black"}, {"decode": "slow"}, {"mode": "fast"}, {"precision": "f16"},
        {"precision": "bf16"}, {"cache_dir": 5}, {"compiled_cache": 5},
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_value_is_an_error_that_names_option_and_value(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(OptionError, match=re.escape(f"{name}={value!r}")):
        read_pipeline_options(options)


def test_a_message_never_repeats_a_long_value() -> None:
    with pytest.raises(OptionError) as error:
        PipelineOptions(alpha="x" * 10_000)  # type: ignore[arg-type]
    assert len(str(error.value)) < 400


def test_options_never_show_the_token() -> None:
    assert "hf_secret" not in repr(PipelineOptions(token="hf_secret"))
