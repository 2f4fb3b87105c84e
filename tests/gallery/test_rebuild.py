"""A library after any changes equals one that is made from nothing."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gallery.conftest import Classifier
from gallery.test_index import SIDECAR, edit_metadata
from pictag.errors import OptionError
from pictag.gallery import Gallery

NAMES = st.sampled_from(["a.jpg", "b.jpg", "trip/c.jpg", "trip/d.jpg", "trip/home/e.jpg"])
COLOURS = ("red", "green", "blue")
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from(COLOURS)),
    st.tuples(st.just("break"), NAMES),
    st.tuples(st.just("move"), NAMES, NAMES),
    st.tuples(st.just("edit"), NAMES),
    st.tuples(st.just("sidecar"), NAMES, st.sampled_from(["Rex", "Käthe"])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("reject"), NAMES),
    st.tuples(st.just("index")),
)


def snapshot(gallery: Gallery) -> dict[str, Any]:
    """All that results are made of, without row ids."""

    def read(query: str) -> list[tuple[Any, ...]]:
        return sorted(gallery.connection.execute(query).fetchall())

    return {
        "files": read(
            "SELECT files.path, size, mtime_ns, sidecars, sha256, pixels, error, taken, camera, has_gps, "
            "type, width, height FROM files LEFT JOIN contents ON contents.id = content_id "
            "WHERE NOT is_missing"
        ),
        "words": read(
            "SELECT path, people, labels, names FROM words JOIN files ON files.id = words.rowid "
            "WHERE NOT is_missing"
        ),
        "count": read("SELECT count(*) FROM words"),
        "scores": read(
            "SELECT DISTINCT path, word, round(score, 4), verdict FROM files JOIN scores USING (content_id) "
            "JOIN terms ON terms.id = term_id WHERE NOT is_missing"
        ),
        "decisions": read("SELECT pixels, word, verdict FROM decisions"),
    }


class Folder:
    """A folder that steps change; every change has a time of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._now = 1_700_000_000

    def touch(self, path: Path) -> None:
        self._now += 1
        os.utime(path, (self._now, self._now))

    def change(self, kind: str, name: str, more: str = "") -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "write":
            Image.new("RGB", (12, 9), more).save(path)
        elif kind == "break":
            path.write_bytes(b"\xff\xd8\xff broken")
        elif kind == "sidecar":
            path = path.with_name(f"{path.name}.xmp")
            path.write_text(SIDECAR.format(more), encoding="utf-8")
        elif not path.exists():
            return
        elif kind == "move":
            (self.root / more).parent.mkdir(parents=True, exist_ok=True)
            path.rename(self.root / more)
            return
        elif kind == "delete":
            path.unlink()
            return
        elif kind == "edit" and b"broken" not in path.read_bytes():
            edit_metadata(path)
        self.touch(path)


def check(folder: Path, steps: list[tuple[str, ...]], classifier: Classifier) -> None:
    photos = Folder(folder / "photos")
    photos.change("write", "always.jpg", "red")
    with (
        Gallery.open(folder / "old.db", create=True) as old,
        Gallery.open(folder / "new.db", create=True) as new,
    ):
        old.index([photos.root], classifier)
        for kind, *rest in steps:
            if kind == "index":
                old.index([photos.root], classifier)
            elif kind == "reject":
                try:
                    old.reject(photos.root / rest[0], "cat")
                except OptionError:
                    continue  # not indexed
            else:
                photos.change(kind, *rest)
        decisions = snapshot(old)["decisions"]
        old.index([photos.root], classifier)
        assert snapshot(old)["decisions"] == decisions
        new.connection.executemany(
            "INSERT INTO decisions VALUES (?, ?, ?, ?, '')",
            [(pixels, word, word, verdict) for pixels, word, verdict in decisions],
        )
        new.index([photos.root], classifier)
        assert snapshot(old) == snapshot(new)


@settings(max_examples=30)
@given(steps=st.lists(STEPS, max_size=12))
def test_a_library_after_any_changes_equals_a_new_one(
    tmp_path_factory: pytest.TempPathFactory, classifier: Classifier, steps: list[tuple[str, ...]]
) -> None:
    check(tmp_path_factory.mktemp("library"), steps, classifier)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@settings(max_examples=500)
@given(steps=st.lists(STEPS, max_size=30))
def test_a_library_after_many_changes_equals_a_new_one(
    tmp_path_factory: pytest.TempPathFactory, classifier: Classifier, steps: list[tuple[str, ...]]
) -> None:
    check(tmp_path_factory.mktemp("library"), steps, classifier)
