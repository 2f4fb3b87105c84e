from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyprediction import NAMES
from pictag.records import Prediction
from pictag.sinks.resume import DoneSources, FileFormat, reopen_sink
from resultfiles import CAT, DOG, TORN, write


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_a_run_can_be_resumed_wherever_a_crash_has_cut_the_file(
    tmp_path: Path, file_format: FileFormat
) -> None:
    path = write(tmp_path / "run", file_format, DOG, TORN, CAT)
    whole = path.read_bytes()
    # A CSV file that was cut between two rows of one image looks complete.
    undetectable = {i + 1 for i, c in enumerate(whole) if c == 10} if file_format == "csv" else set()
    for cut in set(range(len(whole))) - undetectable:
        path.write_bytes(whole[:cut])
        sink, done = reopen_sink(path, file_format)
        for prediction in (DOG, TORN, CAT):
            if prediction.source not in done:
                sink.write(prediction)
        sink.close()
        assert path.read_bytes() == whole


@given(st.sets(NAMES), st.sets(NAMES))
def test_done_sources_are_exactly_those_that_were_added(added: set[str], others: set[str]) -> None:
    done = DoneSources()
    for name in added:
        done.add(Prediction(source=name))
    done.sort()
    assert all(name in done for name in added)
    assert not any(name in done for name in others - added)
