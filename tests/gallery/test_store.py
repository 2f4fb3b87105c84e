"""Rows of a library."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from libraries import Entry, make_library, synthesize


def test_a_library_of_made_up_entries_can_be_searched(tmp_path: Path) -> None:
    entries = [
        Entry(path="/photos/trip/rex.jpg", scores={"dog": 0.9, "mammal": 0.95}, keywords=("Rex",)),
        Entry(path="/photos/cat.jpg", scores={"cat": 0.8}, decisions={"cat": "rejected", "lynx": "added"}),
    ]
    with make_library(tmp_path / "gallery.db", entries) as gallery:
        rows = gallery.connection.execute("SELECT people, labels, names FROM words ORDER BY rowid").fetchall()
    assert rows[0][0] == "Rex"
    assert rows[0][1].split("\n")[0] == "mammal"
    assert rows[0][2] == "photos/trip/rex.jpg"
    assert rows[1][:2] == ("lynx", "")


def test_vectors_are_found_at_their_place_in_their_block(tmp_path: Path) -> None:
    entries = list(synthesize(600, dimensions=16))
    with make_library(tmp_path / "gallery.db", entries) as gallery:
        connection = gallery.connection
        for content_id, vector_id in connection.execute("SELECT id, vector_id FROM contents").fetchall():
            ids, data = connection.execute(
                "SELECT content_ids, data FROM vectors WHERE block = ?", (vector_id // 256,)
            ).fetchone()
            row = vector_id % 256
            assert np.frombuffer(ids, np.int64)[row] == content_id
            vector = np.frombuffer(data, np.float16).reshape(-1, 16)[row].astype(np.float32)
            wanted = entries[content_id - 1].embedding
            assert wanted is not None
            assert np.allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-3)
