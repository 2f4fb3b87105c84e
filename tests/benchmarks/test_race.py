"""Races, with real processes that do little."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks.race import Contestant, Distance, race

DISTANCE = Distance(lap_s=0.01, laps=3, least_images=8)

CLASSIFY = """
import sys, time
from pathlib import Path
from benchmarks.programs.laps import answer_laps

def classify(files):
    for file in files:
        time.sleep(0.001)
        yield Path(file).name

answer_laps(classify, images=Path(sys.argv[1]), versions={"toy": "1"})
"""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.race.PAUSE_S", 0)
    monkeypatch.setattr("benchmarks.race.ENOUGH_S", 0)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        (tmp_path / name).touch()
    return tmp_path


def enter(name: str, code: str, *arguments: str) -> Contestant:
    return Contestant(
        name=name, command=(sys.executable, "-c", code, *arguments), weights="float", family="pictag"
    )


def test_a_contestant_runs_the_files_over_and_over_and_is_timed(images: Path) -> None:
    (result,), dropouts = race([enter("toy", CLASSIFY, str(images))], DISTANCE)
    assert not dropouts
    assert result.labels == ("a.jpg", "b.jpg", "c.jpg")
    assert len(result.rates) == DISTANCE.laps
    assert all(0 < rate <= 1000 for rate in result.rates)
    assert result.images % DISTANCE.laps == 0
    assert result.images >= DISTANCE.laps * DISTANCE.least_images
    assert result.facts == {"versions": {"toy": "1"}}


def test_one_that_cannot_run_drops_out_with_its_last_words_and_the_others_go_on(images: Path) -> None:
    contestants = [
        enter("broken", "raise SystemExit('no such thing here')"),
        enter("mute", "pass"),
        enter("gives up", "import sys; print('{}', flush=True); sys.exit(sys.stdin.readline() and 'enough')"),
        enter("toy", CLASSIFY, str(images)),
    ]
    results, dropouts = race(contestants, DISTANCE)
    assert [result.contestant.name for result in results] == ["toy"]
    assert dropouts == {"broken": "no such thing here", "mute": "ended with 0", "gives up": "enough"}


def test_the_peak_of_memory_is_the_contestants_own(images: Path) -> None:
    large = "x = bytearray(200 << 20)\n"
    results, _ = race(
        [enter("small", CLASSIFY, str(images)), enter("large", large + CLASSIFY, str(images))], DISTANCE
    )
    small, large_peak = (result.peak_mb for result in results)
    if small is None or large_peak is None:
        pytest.skip("this system does not say what a process' memory is")
    assert large_peak - small > 150
