"""Indexing: only what has changed is read, and only new images are classified."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from gallery.conftest import Classifier, Find
from pictag import pipeline
from pictag.errors import OptionError, OutputError, PictagWarning
from pictag.gallery import Gallery
from pictag.gallery.folders import FolderScan
from pictag.gallery.index import Indexer
from pictag.metadata import Keyword, write_keywords


def count(gallery: Gallery, folders: Any, classifier: Classifier, **options: Any) -> dict[str, Any]:
    """What an index run did, without what it didn't do."""
    summary = asdict(
        gallery.index([folders] if isinstance(folders, Path) else folders, classifier, **options)
    )
    return {name: value for name, value in summary.items() if value}


def test_a_new_folder_is_indexed_and_found(
    gallery: Gallery, photos: Path, classifier: Classifier, find: Find, labelled: Find
) -> None:
    assert count(gallery, photos, classifier) == {"new": 3}
    assert labelled(gallery, "tabby cat") == ["red.png"]
    assert labelled(gallery, "cat") == ["red.png", "trip/green.jpg"]  # a concept
    assert len(find(gallery, "Bananas")) == 3  # by its stem; its score is low for two of them
    assert find(gallery, "trip") == ["trip/blue.jpg", "trip/green.jpg"]
    embedded = gallery.connection.execute("SELECT count(*) FROM contents WHERE vector_id IS NOT NULL")
    assert embedded.fetchone() == (3,)


class CountingEngine:
    """An engine that counts the images it runs."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.name, self.inputs, self.outputs = inner.name, inner.inputs, inner.outputs
        self.images = 0

    def run(self, pixel_values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        self.images += len(pixel_values)
        outputs: tuple[np.ndarray[Any, Any], ...] = self._inner.run(pixel_values)
        return outputs

    def close(self) -> None:
        self._inner.close()


def edit_metadata(path: Path) -> None:
    with Image.open(path) as image:
        exif = image.getexif()
        exif[ExifTags.Base.Artist] = "someone"
        exif[ExifTags.Base.Make] = "Canon"
        data = Path(path).read_bytes()
        payload = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    segment = b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload
    path.write_bytes(data[:2] + segment + data[2:])


def test_moving_copying_and_editing_metadata_need_no_inference(
    gallery: Gallery, photos: Path, classifier: Classifier, cats: Path
) -> None:
    engine = CountingEngine(classifier.engine)
    counting = pipeline(model=cats, engine=engine, embeddings=True, threads=1)
    assert count(gallery, photos, counting) == {"new": 3}
    before = engine.images
    assert count(gallery, photos, counting) == {"unchanged": 3}
    (photos / "red.png").rename(photos / "trip" / "sunset.png")
    shutil.copy(photos / "trip" / "green.jpg", photos / "copy.jpg")
    edit_metadata(photos / "trip" / "blue.jpg")
    assert count(gallery, photos, counting) == {"unchanged": 1, "known": 3, "missing": 1}
    (photos / "trip" / "blue.jpg").rename(photos / "renamed.jpg")
    edit_metadata(photos / "renamed.jpg")  # both at once
    assert count(gallery, photos, counting) == {"unchanged": 3, "known": 1, "missing": 1}
    assert engine.images == before
    assert gallery.status()["images"] == 3
    cameras = gallery.connection.execute("SELECT camera FROM files WHERE path_text LIKE '%renamed%'")
    assert cameras.fetchone() == ("Canon",)


def test_an_edited_image_gets_other_labels(
    gallery: Gallery, photos: Path, classifier: Classifier, labelled: Find
) -> None:
    gallery.index([photos], classifier)
    Image.new("RGB", (24, 18), "blue").save(photos / "red.png")
    assert count(gallery, photos, classifier) == {"unchanged": 2, "new": 1}
    assert labelled(gallery, "tabby cat") == []
    assert labelled(gallery, "banana") == ["red.png", "trip/blue.jpg"]


def test_a_deleted_file_is_gone_and_costs_nothing_when_it_returns(
    gallery: Gallery, photos: Path, classifier: Classifier, find: Find, tmp_path: Path
) -> None:
    gallery.index([photos], classifier)
    (photos / "trip").rename(tmp_path / "elsewhere")
    assert count(gallery, photos, classifier) == {"unchanged": 1, "missing": 2}
    assert find(gallery, "trip") == []
    (tmp_path / "elsewhere").rename(photos / "trip")
    assert count(gallery, photos, classifier) == {"unchanged": 1, "known": 2}
    assert len(find(gallery, "trip")) == 2


def test_a_folder_that_is_not_there_loses_nothing(
    gallery: Gallery, photos: Path, classifier: Classifier, labelled: Find, tmp_path: Path
) -> None:
    gallery.index([photos], classifier)
    photos.rename(tmp_path / "unplugged")
    assert count(gallery, photos, classifier) == {"folders": 1, "kept": {str(photos): 3}}
    photos.mkdir()  # an empty mount point
    assert count(gallery, photos, classifier) == {"kept": {str(photos): 3}}
    assert labelled(gallery, "tabby cat") == ["red.png"]
    photos.rmdir()
    (tmp_path / "unplugged").rename(photos)
    assert count(gallery, photos, classifier) == {"unchanged": 3}


def test_a_disk_that_was_mounted_below_a_folder_loses_nothing(
    gallery: Gallery, photos: Path, classifier: Classifier, tmp_path: Path
) -> None:
    gallery.index([photos], classifier)
    mount = os.fsencode(photos / "trip")
    # As an index run stores it that finds another device there.
    gallery.connection.execute("INSERT INTO folders (path, is_mount) VALUES (?, 1)", (mount,))
    shutil.rmtree(photos / "trip")
    assert count(gallery, photos, classifier) == {"unchanged": 1, "kept": {str(photos / "trip"): 2}}


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_without_permission_loses_nothing(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos], classifier)
    (photos / "trip").chmod(0)
    try:
        found = count(gallery, photos, classifier)
    finally:
        (photos / "trip").chmod(0o755)
    assert found == {"unchanged": 1, "failed": 1, "kept": {str(photos / "trip"): 2}}


def test_a_removed_folder_is_forgotten(gallery: Gallery, photos: Path, classifier: Classifier) -> None:
    gallery.index([photos], classifier)
    assert gallery.remove(photos) == 3
    assert gallery.status()["files"] == 0
    with pytest.raises(OptionError, match="has no folders yet"):
        gallery.index([], classifier)
    with pytest.raises(OptionError, match="has no folder"):
        gallery.remove(photos)


def test_without_folders_all_known_ones_are_indexed(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos / "trip"], classifier, exclude=["green*"])
    assert count(gallery, [], classifier) == {"unchanged": 1}  # the pattern is remembered
    assert count(gallery, photos / "trip", classifier, exclude=["blue*"]) == {"new": 1, "missing": 1}


def test_a_folder_inside_another_is_indexed_once(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    (photos / ".hidden").mkdir()
    Image.new("RGB", (5, 5), "gray").save(photos / ".hidden" / "a.png")
    assert count(gallery, [photos / ".hidden", photos / "trip", photos], classifier) == {"new": 4}
    assert count(gallery, photos, classifier) == {"unchanged": 3}  # the hidden one stays
    (photos / "trip" / "blue.jpg").unlink()
    assert count(gallery, photos, classifier) == {"unchanged": 2, "missing": 1}


def test_a_broken_image_is_kept_with_its_error_and_not_tried_again(
    gallery: Gallery, photos: Path, classifier: Classifier, find: Find
) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert count(gallery, photos, classifier) == {"new": 3, "failed": 1}
    assert count(gallery, photos, classifier) == {"unchanged": 4}
    assert count(gallery, photos, classifier, retry_failed=True) == {"unchanged": 3, "failed": 1}
    errors = gallery.connection.execute("SELECT error FROM files WHERE error IS NOT NULL").fetchall()
    assert len(errors) == 1
    assert "broken.jpg" in errors[0][0]
    assert find(gallery, "broken") == ["broken.jpg"]
    Image.new("RGB", (12, 9), "red").save(photos / "broken.jpg")
    assert count(gallery, photos, classifier) == {"unchanged": 3, "new": 1}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among files")
def test_a_file_that_cant_be_read_now_keeps_its_labels(
    gallery: Gallery, photos: Path, classifier: Classifier, labelled: Find
) -> None:
    gallery.index([photos], classifier)
    (photos / "red.png").unlink()
    os.mkfifo(photos / "red.png")  # is listed, but isn't a regular file
    assert count(gallery, photos, classifier) == {"unchanged": 2, "failed": 1}
    assert count(gallery, photos, classifier) == {"unchanged": 2, "failed": 1}  # tried again
    assert labelled(gallery, "tabby cat") == ["red.png"]


def test_keywords_of_people_are_read_and_follow_their_sidecar(
    gallery: Gallery, photos: Path, classifier: Classifier, find: Find
) -> None:
    image = photos / "red.png"
    gallery.index([photos], classifier)
    (photos / "red.png.xmp").write_text(SIDECAR.format("Rex"), encoding="utf-8")
    assert count(gallery, photos, classifier) == {"unchanged": 2, "known": 1}
    assert find(gallery, "Rex") == ["red.png"]
    write_keywords(image, [Keyword(("computed",))])  # pictag's own keywords aren't people's
    gallery.index([photos], classifier)
    assert find(gallery, "Rex") == ["red.png"]
    assert find(gallery, "computed") == []
    (photos / "red.png.xmp").unlink()
    assert count(gallery, photos, classifier) == {"unchanged": 2, "known": 1}
    assert find(gallery, "Rex") == []


SIDECAR = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>{}</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


@pytest.mark.parametrize("kind", ["xmp", "iptc"])
def test_keywords_inside_photographs_are_read(
    gallery: Gallery, photos: Path, classifier: Classifier, find: Find, kind: str
) -> None:
    path = photos / "trip" / "blue.jpg"
    data = path.read_bytes()
    if kind == "xmp":
        payload = b"http://ns.adobe.com/xap/1.0/\0" + SIDECAR.format("Rex").encode()
        segment = b"\xff\xe1" + (len(payload) + 2).to_bytes(2, "big") + payload
    else:
        record = b"\x1c\x02\x19\0\x03Rex"
        payload = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(record).to_bytes(4, "big") + record
        segment = b"\xff\xed" + (len(payload) + 2).to_bytes(2, "big") + payload
    path.write_bytes(data[:2] + segment + data[2:])
    gallery.index([photos], classifier)
    assert find(gallery, "Rex") == ["trip/blue.jpg"]


def test_a_broken_sidecar_is_reported_and_its_image_indexed(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    (photos / "red.png.xmp").write_text("<x:xmpmeta", encoding="utf-8")
    with pytest.warns(PictagWarning, match=r"red\.png\.xmp.*Its keywords are left out"):
        assert count(gallery, photos, classifier) == {"new": 3}


def test_another_model_replaces_labels_and_embeddings_but_no_decision(
    gallery: Gallery, photos: Path, classifier: Classifier, colours: Classifier, labelled: Find
) -> None:
    gallery.index([photos], classifier)
    gallery.reject(photos / "red.png", "tabby cat")
    gallery.confirm(photos / "trip" / "blue.jpg", "banana")
    assert count(gallery, photos / "trip", colours) == {"new": 2}
    assert gallery.count_other_model() == 1
    assert count(gallery, photos, colours) == {"new": 1, "unchanged": 2}
    assert labelled(gallery, "cat") == labelled(gallery, "tabby cat") == []
    assert labelled(gallery, "banana") == ["trip/blue.jpg"]
    rows = gallery.connection.execute("SELECT model_id, content_ids FROM vectors").fetchall()
    used = [content_id for _, ids in rows for content_id in np.frombuffer(ids, np.int64) if content_id]
    assert sorted(used) == [1, 2, 3]
    gallery.index([photos], classifier)  # back again
    assert labelled(gallery, "tiger cat") == ["trip/green.jpg"]
    assert labelled(gallery, "tabby cat") == []


def test_a_reader_goes_on_while_the_library_is_written(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos / "trip"], classifier)
    reader = sqlite3.connect(gallery.path)
    rows = reader.execute("SELECT path FROM files")
    rows.fetchone()
    assert count(gallery, photos, classifier) == {"unchanged": 2, "new": 1}
    assert len(rows.fetchall()) == 1
    assert reader.execute("SELECT count(*) FROM files").fetchone() == (3,)
    reader.close()


def test_a_full_disk_ends_the_run_and_the_next_one_continues(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    gallery.index([photos], classifier)
    gallery.confirm(photos / "red.png", "tabby cat")
    for number in range(150):
        Image.new("RGB", (12, 9), (number, 0, 99)).save(photos / f"{number}.png")
    (pages,) = gallery.connection.execute("PRAGMA page_count").fetchone()
    gallery.connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(OutputError, match="no space left"):
        gallery.index([photos], classifier)
    gallery.connection.execute("PRAGMA max_page_count = 1000000")
    assert gallery.status()["decisions"] == 1
    assert gallery.index([photos], classifier).missing == 0
    assert gallery.status()["files"] == 153


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode on Windows")
def test_names_that_are_not_utf8_work(
    gallery: Gallery, photos: Path, classifier: Classifier, labelled: Find
) -> None:
    shutil.copy(photos / "red.png", os.fsdecode(os.fsencode(photos) + b"/caf\xe9.png"))
    assert count(gallery, photos, classifier)["new"] >= 3
    paths = [path for (path,) in gallery.connection.execute("SELECT path FROM files")]
    assert os.fsencode(photos) + b"/caf\xe9.png" in paths
    assert len(labelled(gallery, "tabby cat")) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decode": "fast"}, "pixels as they are"),
        ({"alpha": "white"}, "pixels"),
        ({"embeddings": False}, "emb"),
    ],
)
def test_a_classifier_that_doesnt_fit_is_an_option_error(
    gallery: Gallery, photos: Path, cats: Path, options: dict[str, Any], message: str
) -> None:
    open_any: Callable[..., Classifier] = pipeline
    with pytest.raises(OptionError, match=message):
        gallery.index([photos], open_any(model=cats, **({"embeddings": True} | options)))


def test_a_file_is_not_a_folder(gallery: Gallery, photos: Path, classifier: Classifier) -> None:
    with pytest.raises(OptionError, match="is a file"):
        gallery.index([photos / "red.png"], classifier)


def test_a_single_folder_needs_no_list(gallery: Gallery, photos: Path, classifier: Classifier) -> None:
    assert gallery.index(str(photos), classifier).new == 3
    assert gallery.duplicates(str(photos)) == []


def test_an_empty_name_is_not_the_current_folder(
    gallery: Gallery, photos: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery.index([photos], classifier)
    monkeypatch.chdir(photos)
    with pytest.raises(OptionError, match="name of a folder is empty"):
        gallery.index([""], classifier)
    with pytest.raises(OptionError, match="name of a folder is empty"):
        gallery.remove("")
    with pytest.raises(OptionError, match="name of a folder is empty"):
        gallery.duplicates([""])
    assert gallery.status()["files"] == 3


def test_a_folder_that_is_removed_during_its_run_ends_it(
    gallery: Gallery, photos: Path, classifier: Classifier
) -> None:
    folders = FolderScan(gallery.connection, [photos])
    indexer = Indexer(gallery.connection, classifier, folders)
    results = list(indexer.stream(folders.expand()))
    with Gallery.open(gallery.path) as other:
        assert other.remove(photos) == 0
    for indexed in results:
        indexer.write(indexed)
    with pytest.raises(OptionError, match="was removed from the library while it was being indexed"):
        indexer.close()
    assert gallery.status()["files"] == 0
