"""Hypothesis strategies for predictions, with names that aren't valid text and all control characters."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from pictag.records import Failure, Label, Prediction

# What os.fsdecode returns: any text, and lone surrogates for bytes that are not UTF-8. NUL can't be in a
# name, but it can be in a label.
NAMES = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF, categories=["Cs"]),
        st.sampled_from("\\\",;\r\n\t\x85\u2028 '=u\x00\x1b\ufeff"),
    ),
    max_size=20,
) | st.sampled_from(["\\udc80", "\\\\udc80", "\\\udc80", "\\\\\udcff\\", "a,b", '"', "\n", " x ", "=1+1"])
SCORES = st.floats(allow_nan=False, allow_infinity=False)
LABELS = st.builds(Label, label=NAMES, score=SCORES, index=st.integers(0, 2**31))
FAILURES = st.builds(Failure, kind=st.sampled_from(["NotAnImage", "FetchFailed"]), message=NAMES)
PREDICTIONS = st.builds(Prediction, source=NAMES, labels=st.lists(LABELS, max_size=4).map(tuple)) | st.builds(
    Prediction, source=NAMES, error=FAILURES
)
RUNS = st.lists(PREDICTIONS, max_size=6)
EMBEDDINGS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4).map(
    lambda values: np.array(values, np.float32)
)
EMBEDDED_RUNS = st.lists(
    st.builds(Prediction, source=NAMES, labels=st.lists(LABELS, max_size=3).map(tuple), embedding=EMBEDDINGS)
    | st.builds(Prediction, source=NAMES, error=FAILURES),
    max_size=6,
)
