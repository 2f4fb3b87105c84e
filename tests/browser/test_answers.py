"""What the page's requests return."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from browser.conftest import MakePage, dogs, open_page
from galleryserver import GalleryPage
from libraries import Entry, make_library
from pictag.browser.question import read_question
from pictag.errors import OptionError, QueryError
from pictag.gallery import Gallery
from pictag.gallery.query import parse
from pictag.metadata import Keyword, read_keywords, write_keywords

SMALL: dict[str, Any] = {"width": 90, "height": 60}


@pytest.mark.parametrize(
    ("parameters", "query"),
    [
        ([("text", "rex")], "rex"),
        ([("text", "a OR b"), ("label", "dog"), ("label", "cat")], '(a OR b) label:"dog","cat"'),
        ([("text", " "), ("-label", 'a "b"'), ("date", "2024")], 'date:"2024" -label:"a  b "'),
        (
            [("is", "unreviewed"), ("-type", "png"), ("min", "0.25")],
            '-type:"png" is:"unreviewed" score>=0.25',
        ),
        ([("like", "12"), ("label", "dog"), ("label", "dog")], 'label:"dog" similar:"#12"'),
    ],
)
def test_choices_become_a_query(parameters: list[tuple[str, str]], query: str) -> None:
    composed = read_question([*parameters, ("hidden", "1")]).compose()
    assert sorted(composed.split()) == sorted(query.split())
    parse(composed)


def test_an_error_in_the_text_is_not_hidden_by_the_choices_behind_it() -> None:
    with pytest.raises(QueryError, match="This quote isn't closed") as caught:
        read_question([("text", 'dog "sea'), ("label", "cat")]).compose()
    assert (caught.value.start, caught.value.end) == (4, 5)
    with pytest.raises(OptionError, match="not one of"):
        read_question([("sort", "size")])


def test_a_result_stays_the_same_while_it_is_paged(make_page: MakePage) -> None:
    with make_page(*dogs(150)) as page:
        first = page.ask("/api/search?label=dog")[1]
        assert (first["total"], len(first["photos"]), first["word"]) == (150, 100, "dog")
        page.ask(
            "/api/decisions", {"photos": [first["photos"][0]["id"]], "word": "dog", "verdict": "rejected"}
        )
        rest = page.ask(f"/api/results/{first['result']}?offset=100&limit=100")[1]["photos"]
        names = [photo["name"] for photo in (*first["photos"], *rest)]
        assert names == [f"dog-{number:03}.jpg" for number in range(150)]
        assert page.ask("/api/search?label=dog")[1]["total"] == 149
        assert page.ask("/api/results/unknown")[0] == 410


def test_decisions_of_the_command_line_are_seen(make_page: MakePage, tmp_path: Path) -> None:
    with make_page(*dogs(3)) as page:
        assert page.ask("/api/search?label=dog")[1]["total"] == 3
        with Gallery.open(tmp_path / "gallery.db") as gallery:
            gallery.reject(tmp_path / "photos" / "dog-000.jpg", "dog")
        assert page.ask("/api/search?label=dog&fresh=1")[1]["total"] == 2


def test_photos_are_ordered_by_date_unless_a_search_rates_them(make_page: MakePage) -> None:
    entries = [
        Entry(path=f"{name}.jpg", scores={"dog": score}, taken=f"{year}-01-01T00:00:00", **SMALL)
        for name, score, year in (("a", 0.5, 2020), ("b", 0.9, 2019), ("c", 0.7, 2024))
    ]

    def names(query: str) -> str:
        photos = page.ask(f"/api/search?{query}")[1]["photos"]
        return "".join(photo["name"][0] for photo in photos)

    with make_page(*entries) as page:
        assert names("") == "cab"
        assert names("sort=oldest") == "bac"
        assert names("sort=name") == "abc"
        assert names("label=dog") == "bca"
        assert names("label=dog&sort=newest") == "cab"


def test_the_caption_is_the_narrowest_likely_label(make_page: MakePage) -> None:
    scores = [
        {"animal": 0.99, "dog": 0.98, "Samoyed": 0.9},
        {"animal": 0.99, "dog": 0.9, "Samoyed": 0.3, "Eskimo dog": 0.3},
        {"animal": 0.3, "dog": 0.25},
        {"animal": 0.1},
        {},
    ]
    with make_page(*(Entry(path=f"{n}.jpg", scores=s, **SMALL) for n, s in enumerate(scores))) as page:
        photos = page.ask("/api/search?sort=name")[1]["photos"]
        captions = [photo["caption"] and photo["caption"]["word"] for photo in photos]
        assert captions == ["Samoyed", "dog", "animal", None, None]
        page.ask("/api/decisions", {"photos": [1], "word": "Samoyed", "verdict": "rejected"})
        caption = page.ask("/api/search?sort=name")[1]["photos"][0]["caption"]
        assert caption == {"word": "Samoyed", "score": 0.9, "verdict": "rejected"}


def test_similar_photos_come_from_the_stored_embeddings(make_page: MakePage) -> None:
    import numpy as np

    vectors = np.eye(4, dtype=np.float32)[[0, 1, 0, 2]] + 0.01
    entries = [Entry(path=f"{n}.jpg", embedding=vector, **SMALL) for n, vector in enumerate(vectors)]
    with make_page(*entries) as page:
        found = page.ask("/api/search?like=1")[1]["photos"]
        assert found[0]["name"] == "2.jpg"
        assert found[0]["score"] == pytest.approx(1, abs=1e-3)
        assert page.ask(f"/api/search?text={quote('similar:/etc/passwd')}")[0] == 400
        assert page.ask("/api/search?like=77")[0] == 400


def test_thumbnails_are_kept_in_the_library(make_page: MakePage, tmp_path: Path) -> None:
    with make_page(Entry(path="a.jpg", width=800, height=400)) as page:
        status, first, headers = page.ask("/images/1/256?v=x")
        assert status == 200
        assert Image.open(io.BytesIO(first)).size == (256, 128)
        assert "immutable" in headers["cache-control"]
        with Gallery.open(tmp_path / "gallery.db") as gallery:
            assert gallery.connection.execute("SELECT count(*) FROM thumbnails").fetchone() == (1,)
        assert page.ask("/images/1/256")[1] == first
        assert page.ask("/images/1/300")[0] == 400
        (tmp_path / "photos" / "a.jpg").unlink()
        assert page.ask("/images/1/512")[0] == 404


def test_the_page_writes_only_its_own_keywords(tmp_path: Path) -> None:
    with open_page(tmp_path, [Entry(path="a.jpg", scores={"dog": 0.9}, **SMALL)]) as page:
        photo = tmp_path / "photos" / "a.jpg"
        write_keywords(photo, [Keyword(("sea",))])

        def write() -> dict[str, object]:
            reply: dict[str, object] = page.ask("/api/sidecars", {"photos": [1]})[1]
            return reply

        assert write() == {"written": 0, "unchanged": 1, "problems": []}
        page.ask("/api/decisions", {"photos": [1], "word": "dog", "verdict": "confirmed"})
        page.ask("/api/decisions", {"photos": [1], "word": "hidden in pictag", "verdict": "added"})
        assert write() == {"written": 1, "unchanged": 0, "problems": []}
        assert read_keywords(photo).subject == ("sea", "dog")
        page.ask("/api/undo", {})
        page.ask("/api/undo", {})
        assert write() == {"written": 1, "unchanged": 0, "problems": []}
        assert read_keywords(photo).subject == ("sea",)


@pytest.mark.parametrize(
    ("text", "start", "first"),
    [
        ("do", 0, "dog"),
        ("sea do", 4, "dog"),
        ("-(do", 2, "dog"),
        ('label:"sam', 6, "Samoyed"),
        ("label:dog,sam", 10, "Samoyed"),
        ("is:", 3, "confirmed"),
        ("type:j", 5, "jpeg"),
        ("dat", 0, "date:"),
        ("sco", 0, "score:"),
    ],
)
def test_completions_start_at_the_word(make_page: MakePage, text: str, start: int, first: str) -> None:
    with make_page(*dogs(2)) as page:
        found = page.ask(f"/api/complete?text={quote(text)}")[1]
        assert (found["start"], found["items"][0]["text"]) == (start, first)


def test_every_completion_can_be_searched_for(make_page: MakePage) -> None:
    words = ("it's", "-minus", "a (b)", "c++", "OR", "two words", 'quo"te', "key:word")
    with make_page(Entry(path="a.jpg", scores=dict.fromkeys(words, 0.9), **SMALL)) as page:
        for word in words:
            begun = word.strip('-"').split()[0][:2]
            for item in page.ask(f"/api/complete?text={quote('label:' + begun)}")[1]["items"]:
                text = "label:" + item["insert"]
                assert page.ask(f"/api/search?text={quote(text)}")[1].get("total") == 1, text


def test_a_library_that_is_being_written_says_so(make_page: MakePage, tmp_path: Path) -> None:
    with make_page(*dogs(1)) as page, Gallery.open(tmp_path / "gallery.db") as other:
        page.library._gallery.connection.execute("PRAGMA busy_timeout = 50")
        other.connection.execute("BEGIN IMMEDIATE")
        status, reply, _ = page.ask("/api/decisions", {"photos": [1], "word": "dog", "verdict": "confirmed"})
        assert (status, "being written by another program" in reply["message"]) == (503, True)
        assert page.ask("/images/1/256")[0] == 200, "a thumbnail that can't be kept is still shown"
        other.connection.execute("ROLLBACK")
        assert page.ask("/api/undo", {})[1]["summary"] == "Nothing to undo"


def test_photos_that_are_gone_leave_a_gap_in_the_result(make_page: MakePage, tmp_path: Path) -> None:
    with make_page(*dogs(3)) as page:
        result = page.ask("/api/search?label=dog")[1]["result"]
        with Gallery.open(tmp_path / "gallery.db") as gallery:
            gallery.connection.execute("UPDATE files SET is_missing = 1 WHERE id = 2")
        photos = page.ask(f"/api/results/{result}?offset=0")[1]["photos"]
        assert [photo and photo["id"] for photo in photos] == [1, None, 3]
        assert page.ask("/api/photos/2")[0] == 404
        assert page.ask("/images/2/256")[0] == 404


def test_the_status_counts_photos(make_page: MakePage, tmp_path: Path) -> None:
    def status(page: GalleryPage) -> tuple[int, int]:
        reply = page.ask("/api/status")[1]
        return reply["files"], reply["failed"]

    with make_page(*dogs(2), Entry(path="bad.jpg", error="broken")) as page:
        assert status(page) == (3, 1)
        make_library(tmp_path / "gallery.db", [Entry(path=str(tmp_path / "photos" / "new.jpg"))]).close()
        assert status(page) == (4, 1)
