"""What the page refuses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from browser.conftest import HOSTILE, MakePage, open_page, write_photo
from galleryserver import TOKEN, GalleryPage
from libraries import Entry

CAT = Entry(path="cat.jpg", scores={"cat": 0.9}, width=90, height=60)
PATHS = ("/", "/page/page.js", "/api/search", "/api/photos/1", "/images/1/256", "/images/1/view")


@pytest.fixture
def page(tmp_path: Path) -> object:
    with open_page(tmp_path, [CAT]) as page:
        yield page


@pytest.mark.parametrize("path", PATHS)
def test_everything_needs_the_token(page: GalleryPage, path: str) -> None:
    assert page.ask(path)[0] == 200
    for wrong in (None, "", "other", TOKEN + "x", TOKEN[:-1]):
        assert page.ask(path, token=wrong)[0] == 401
    assert page.ask(f"{path}?token=other", token=None)[0] == 401


def test_the_token_in_the_url_is_exchanged_for_a_cookie_that_other_sites_cannot_use(
    page: GalleryPage,
) -> None:
    status, _, headers = page.ask(f"/?token={TOKEN}", token=None)
    assert status == 200
    cookie = headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    sent = cookie.split(";")[0]
    assert page.ask("/api/search", token=None, cookie=sent)[0] == 200
    assert page.ask(f"/api/search?token={TOKEN}", token=None)[0] == 401, "the URL works only for the page"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example:{port}", "127.0.0.1", ""]
)
def test_another_host_name_is_refused(page: GalleryPage, host: str) -> None:
    assert page.ask("/api/search", host=host.format(port=page.port))[0] == 403


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_this_machine_has_several_names(page: GalleryPage, name: str) -> None:
    assert page.ask("/api/search", host=f"{name}:{page.port}")[0] == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}", "null"]
)
def test_another_origin_is_refused_even_with_the_cookie(page: GalleryPage, origin: str) -> None:
    cookie, origin = f"pictag-{page.port}={TOKEN}", origin.format(port=page.port)
    body = {"photos": [1], "word": "cat", "verdict": "rejected"}
    for token in (None, TOKEN):
        assert page.ask("/api/decisions", body, token=token, cookie=cookie, origin=origin)[0] == 403
        assert page.ask("/api/search", token=token, cookie=cookie, origin=origin)[0] == 403
    assert page.ask("/api/photos/1")[1]["labels"][0]["verdict"] is None


def test_a_cookie_alone_changes_nothing(page: GalleryPage) -> None:
    cookie, body = f"pictag-{page.port}={TOKEN}", {"photos": [1], "word": "cat", "verdict": "rejected"}
    assert page.ask("/api/decisions", body, token=None, cookie=cookie)[0] == 403
    assert page.ask("/api/decisions", body, token=None, cookie=cookie, origin=page.address)[0] == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_pages_cannot_embed_photos(page: GalleryPage, site: str) -> None:
    cookie = f"pictag-{page.port}={TOKEN}"
    assert page.ask("/images/1/256", token=None, cookie=cookie, sec_fetch_site=site)[0] == 403
    assert page.ask("/images/1/256", token=None, cookie=cookie, sec_fetch_site="same-origin")[0] == 200


def test_responses_forbid_everything_that_is_not_the_pages_own(page: GalleryPage) -> None:
    for path in (*PATHS, "/nothing"):
        headers = page.ask(path)[2]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    "path",
    [
        "/page/../application.py",
        "/page/..%2fapplication.py",
        "/page/%2e%2e/%2e%2e/cli/browse.py",
        "/page//etc/passwd",
        "/images/..%2f..%2fetc%2fpasswd/256",
        "/images/%2fetc%2fpasswd/view",
        "/images/-1/256",
        "/images/999/256",
        "/images/99999999999999999999/256",
        "/api/photos/../../etc/passwd",
    ],
)
def test_paths_lead_nowhere_else(page: GalleryPage, path: str) -> None:
    status, body, _ = page.ask(path)
    assert status in (400, 404)
    assert b"root:" not in str(body).encode()
    assert "import" not in str(body)


def test_links_out_of_the_indexed_folder_are_not_followed(tmp_path: Path) -> None:
    outside = write_photo(tmp_path / "private" / "secret.jpg", 7)
    inside = write_photo(tmp_path / "photos" / "real.jpg", 8)
    (tmp_path / "photos" / "out.jpg").symlink_to(outside)
    (tmp_path / "photos" / "folder").symlink_to(outside.parent)
    (tmp_path / "photos" / "in.jpg").symlink_to(inside)
    (tmp_path / "photos" / "up.jpg").symlink_to(Path("..") / "private" / "secret.jpg")
    names = ("real.jpg", "out.jpg", "folder/secret.jpg", "in.jpg", "up.jpg")
    with open_page(tmp_path, [Entry(path=name) for name in names]) as page:
        found = {photo["name"]: photo["id"] for photo in page.ask("/api/search?sort=name")[1]["photos"]}
        ids = {
            row[0]: row[1] for row in page.library._reader.connection.execute("SELECT path, id FROM files")
        }
        statuses = {
            name: page.ask(f"/images/{ids[os.fsencode(tmp_path / 'photos' / name)]}/{size}")[0]
            for name in names
            for size in ("256", "view")
        }
        problems = page.ask("/api/sidecars", {"photos": [found["out.jpg"]]})[1]["problems"]
    assert statuses == {
        "real.jpg": 200, "in.jpg": 200, "out.jpg": 403, "folder/secret.jpg": 403, "up.jpg": 403
    }  # fmt: skip
    assert "leads out of the indexed folders" in problems[0]


def test_a_link_that_was_changed_after_its_thumbnail_was_made_is_refused(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "photos" / "a.jpg", 1)
    with open_page(tmp_path, [Entry(path="a.jpg")]) as page:
        assert page.ask("/images/1/256")[0] == 200
        photo.unlink()
        photo.symlink_to(write_photo(tmp_path / "private" / "b.jpg", 2))
        assert page.ask("/images/1/256")[0] == 403


def test_a_file_beside_the_folder_with_a_longer_name_is_outside(tmp_path: Path) -> None:
    outside = write_photo(tmp_path / "photos-private" / "a.jpg", 1)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").symlink_to(outside)
    with open_page(tmp_path, [Entry(path="a.jpg")]) as page:
        assert page.ask("/images/1/256")[0] == 403


def test_bodies_that_are_not_requests_are_errors(page: GalleryPage) -> None:
    bodies: list[Any] = [
        [],
        7,
        "x",
        {},
        {"photos": []},
        {"photos": ["1"]},
        {"photos": [True], "word": "a"},
        {"photos": [1]},
    ]
    for body in bodies:
        status, reply, _ = page.ask("/api/decisions", body)
        assert (status, bool(reply["message"])) == (400, True), body
    for verdict in ("maybe", 1, ["confirmed"]):
        assert page.ask("/api/decisions", {"photos": [1], "word": "cat", "verdict": verdict})[0] == 400
    assert page.ask("/api/decisions", {"photos": [1], "word": "x" * 2**20})[0] == 413
    for query in ("sort=x", "min=x", "min=nan", "like=-1", "like=x", "text=%22", "label=%22"):
        assert page.ask(f"/api/search?{query}")[0] == 400, query
    assert page.ask("/api/decisions")[0] == 405


def test_markup_in_names_and_keywords_stays_text(make_page: MakePage) -> None:
    entry = Entry(path=f"{HOSTILE.replace('/', '')}.jpg", keywords=(HOSTILE,), scores={"cat": 0.9})
    with make_page(entry) as page:
        page.ask("/api/decisions", {"photos": [1], "word": HOSTILE, "verdict": "added"})
        status, photo, headers = page.ask("/api/photos/1")
    assert status == 200
    assert headers["content-type"] == "application/json"
    assert photo["name"] == f"{HOSTILE}.jpg"
    assert HOSTILE in photo["keywords"]
