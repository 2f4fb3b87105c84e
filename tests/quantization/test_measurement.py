"""The measures of agreement between two tables of scores."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pictag.quantization.measurement import compare


def test_differences_are_those_of_the_label_that_changed_most() -> None:
    original = np.array([[0.9, 0.1], [0.6, 0.4]], np.float32)
    quantized = np.array([[0.8, 0.2], [0.3, 0.7]], np.float32)
    agreement = compare(original, quantized)
    assert (agreement.images, agreement.top1) == (2, 0.5)
    assert agreement.mean_difference == pytest.approx(0.2)
    assert agreement.largest_difference == pytest.approx(0.3)


def test_a_single_label_agrees_on_the_same_side_of_one_half() -> None:
    original = np.array([[0.9], [0.6], [0.1]], np.float32)
    assert compare(original, np.array([[0.7], [0.4], [0.2]], np.float32)).top1 == pytest.approx(2 / 3)


def test_nan_scores_never_agree_and_fit_into_json() -> None:
    original = np.array([[0.9, 0.1]], np.float32)
    agreement = compare(original, np.array([[np.nan, 0.1]], np.float32))
    assert agreement.top1 == 0
    json.dumps([agreement.mean_difference, agreement.largest_difference], allow_nan=False)
