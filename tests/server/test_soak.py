"""The targets of the server's figures, at full length on an otherwise idle machine."""

from __future__ import annotations

import sys

import pytest
from benchmarks.figures import Options
from benchmarks.serve_load import PARTS, run

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.mark.soak
@pytest.mark.timeout(1800)
# The long form of stopping under load is in test_serving.py.
@pytest.mark.parametrize("part", [part for part in PARTS if part != "stops"])
def test_the_targets_are_reached(part: str) -> None:
    figures = run(Options(), [part])
    missed = [
        f"{one.name}: {one.measured:.3g} {one.unit} (the target is {one.target:g}): {one.detail}"
        for one in figures
        if not one.is_reached
    ]
    assert figures
    assert not missed, "\n".join(missed)
