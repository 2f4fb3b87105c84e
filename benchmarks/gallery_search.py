"""Searching a library of 100,000 files: core time of a search with its facets' counts, and memory."""

from __future__ import annotations

import os
import sqlite3
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import ROOT, Figure, Options, print_progress
from pictag.gallery.columns import Columns
from pictag.gallery.facets import count_facets
from pictag.gallery.schema import open_library
from pictag.gallery.search import search

FILES = 100_000
TARGET_MS = 50.0
FIRST_TARGET_MS = 2000.0
PAGE = 50
ROUNDS = 5
QUERIES = (
    "",
    "dog",
    "label:animal",
    "animal",
    "dog -cat score>0.5",
    "family",
    "in:2016 label:dog,cat type:png",
    "(dog OR cat) -rex after:2018",
    "label:fish is:unreviewed score>0.6",
    "in:photos animal img after:2000 -type:raw",
    "score<0.3",
    "is:confirmed",
)


def run(options: Options) -> list[Figure]:
    sys.path.insert(0, str(ROOT / "tests"))
    from libraries import make_library, synthesize

    files = 2_000 if options.quick else FILES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gallery.db"
        print_progress(f"a library of {files:,} files")
        make_library(path, synthesize(files)).close()
        connection = open_library(path)
        before = _read_memory_mb()
        columns = Columns(connection)
        first_ms = _measure(connection, "dog", columns)
        times = {}
        for query in QUERIES:
            _measure(connection, query, columns)  # reads the scores that the query needs
            times[query] = statistics.median(_measure(connection, query, columns) for _ in range(ROUNDS))
        grown = _read_memory_mb() - before
        connection.close()
    slowest = max(times, key=times.__getitem__)
    detail = ", ".join(f"{query or 'all files'} {value:.0f}" for query, value in times.items())
    name = f"search and facets, {files:,} files"
    return [
        Figure(
            name=f"{name}: core time of the slowest of {len(QUERIES)} queries",
            measured=times[slowest], target=TARGET_MS, unit="ms",
            detail=f"a page of {PAGE} with its labels; medians of {ROUNDS} in ms: {detail}",
        ),
        Figure(
            name=f"{name}: core time of the first search after opening",
            measured=first_ms, target=FIRST_TARGET_MS, unit="ms", detail="reads the files and the scores",
        ),
        Figure(
            name=f"{name}: memory of the arrays", measured=grown, target=200, unit="MB",
            detail="after all these queries; the library's own limit is 800 MB with its embeddings",
        ),
    ]  # fmt: skip


def _measure(connection: sqlite3.Connection, query: str, columns: Columns) -> float:
    start = time.process_time()
    list(search(connection, query, limit=PAGE, columns=columns).files)
    count_facets(connection, query, columns=columns)
    return (time.process_time() - start) * 1000


def _read_memory_mb() -> float:
    """The resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
