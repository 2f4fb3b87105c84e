"""A process that is killed while it writes: no decision is lost, and the library isn't damaged."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from gallery.conftest import Classifier
from gallery.test_rebuild import snapshot
from pictag.gallery import Gallery

INDEX = """
import sys
from pictag import pipeline
from pictag.gallery import Gallery
library, photos, model = sys.argv[1:]
classifier = pipeline(model=model, embeddings=True, threads=1)
with Gallery.open(library) as gallery:
    print("begun", flush=True)
    gallery.index([photos], classifier)
    print("done", flush=True)
"""
DECIDE = """
import itertools, sys
from pictag.gallery import Gallery
library, photo, start = sys.argv[1:]
with Gallery.open(library) as gallery:
    for number in itertools.count(int(start)):
        gallery.add(photo, f"word {number}")
        print(number, flush=True)  # only what was stored is announced
"""
IMAGES = 240


def kill(script: str, *arguments: str, delay_s: float) -> list[str]:
    """Run a script, kill it some time after its first line, and return its lines."""
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(delay_s)
    process.kill()
    rest, _ = process.communicate()
    return [first.strip(), *rest.split("\n")]


def check(folder: Path, cats: Path, classifier: Classifier, kills: int) -> None:
    photos, library = folder / "photos", folder / "gallery.db"
    photos.mkdir()
    for number in range(IMAGES):
        Image.new("RGB", (12, 9), (number, 255 - number, 99)).save(photos / f"{number}.png")
    delays = random.Random(7)
    with Gallery.open(library, create=True) as gallery:
        gallery.index([photos], classifier)
        gallery.confirm(photos / "0.png", "banana")
    announced = -1
    for round_ in range(kills):
        for number in range(IMAGES):  # all of them are new again
            Image.new("RGB", (12, 9), (number, round_ + 1, 0)).save(photos / f"{number}.png")
        kill(INDEX, str(library), str(photos), str(cats), delay_s=delays.uniform(0, 0.4))
        check_file(library, announced)
        with Gallery.open(library) as gallery:  # the photograph must be known for the decisions
            gallery.index([photos], classifier)
        lines = kill(
            DECIDE, str(library), str(photos / "0.png"), str(announced + 1), delay_s=delays.uniform(0, 0.1)
        )
        announced = max(announced, *(int(line) for line in lines if line))
        check_file(library, announced)
    with Gallery.open(library) as gallery, Gallery.open(folder / "new.db", create=True) as new:
        gallery.index([photos], classifier)
        decisions = gallery.connection.execute("SELECT * FROM decisions").fetchall()
        new.connection.executemany("INSERT INTO decisions VALUES (?, ?, ?, ?, ?)", decisions)
        new.index([photos], classifier)
        assert snapshot(gallery) == snapshot(new)


def check_file(library: Path, announced: int) -> None:
    with Gallery.open(library) as gallery:
        assert gallery.connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert gallery.connection.execute("PRAGMA foreign_key_check").fetchall() == []
        gallery.connection.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        (decisions,) = gallery.connection.execute("SELECT count(*) FROM decisions").fetchone()
    assert decisions >= 1 + announced + 1


@pytest.mark.slow
def test_a_killed_process_loses_no_decision(tmp_path: Path, cats: Path, classifier: Classifier) -> None:
    check(tmp_path, cats, classifier, kills=2)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_thirty_killed_processes_lose_no_decision(tmp_path: Path, cats: Path, classifier: Classifier) -> None:
    check(tmp_path, cats, classifier, kills=30)
