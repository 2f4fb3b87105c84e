"""TorchServe's inference API."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator

import pytest
from starlette.datastructures import Headers

from asking import LiveServer, ask, serve
from pictag.server.http_errors import BadRequest
from pictag.server.protocols.images import read_field
from tinymodel import make_image, make_tiny_model

LABELS = ("red", "green", "blue", "cyan", "pink", "pink", "lime")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with serve({"org/colours": make_tiny_model(tmp_path_factory.mktemp("model"), labels=LABELS)}) as server:
        yield server


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("images") / "green.png", "green").read_bytes()


def make_form(
    *fields: tuple[str, bytes], boundary: str = "xYz", names: bool = True
) -> tuple[bytes, dict[str, str]]:
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="a.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n".encode()
        + data
        + b"\r\n"
        for name, data in fields
    ]
    body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
    return body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}


def test_ping_says_healthy(server: LiveServer) -> None:
    assert json.loads(ask(server, "GET", "/ping").body) == {"status": "Healthy"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("version", ["", "/1", "/1.0"])
def test_an_image_gives_its_five_best_labels(
    server: LiveServer, image: bytes, method: str, version: str
) -> None:
    answer = ask(server, method, f"/predictions/org/colours{version}", image)
    assert answer.status == 200
    found = json.loads(answer.body)
    assert 4 <= len(found) <= 5
    assert next(iter(found)) == "green"
    assert list(found.values()) == sorted(found.values(), reverse=True)


def test_the_scores_are_those_of_the_other_protocols(
    server: LiveServer, image: bytes, tmp_path: object
) -> None:
    found = json.loads(ask(server, "POST", "/predictions/org/colours?top_k=1", image).body)
    assert list(found) == ["green"]
    wanted = json.loads(ask(server, "POST", "/?top_k=1", image).body)[0]["score"]
    assert found["green"] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("name", ["data", "body"])
def test_an_image_can_be_sent_in_a_form(server: LiveServer, image: bytes, name: str) -> None:
    body, headers = make_form(("comment", b"hello"), (name, image))
    answer = ask(server, "POST", "/predictions/org/colours", body, headers)
    assert next(iter(json.loads(answer.body))) == "green"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/predictions/org/colours/2", 404),
        ("/predictions/org", 404),
        ("/predictions/org/colours/1/1", 404),
        ("/predictions/", 404),
        ("/predictions/org/colours?top=1", 400),
    ],
)
def test_unknown_models_and_parameters_are_rejected(
    server: LiveServer, image: bytes, path: str, status: int
) -> None:
    assert ask(server, "POST", path, image).status == status


def test_an_empty_body_is_a_bad_request(server: LiveServer) -> None:
    assert ask(server, "POST", "/predictions/org/colours", b"").status == 400


FORM = make_form(("data", b"image"))[0]
KIND = "multipart/form-data; boundary=xYz"


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (FORM, "multipart/form-data", "cut off"),
        (FORM, "multipart/form-data; boundary=", "cut off"),
        (FORM, "multipart/form-data; boundary=other", "cut off"),
        (FORM[:-10], KIND, "cut off"),
        (FORM[:30], KIND, "cut off"),
        (b"", KIND, "cut off"),
        (make_form(("image", b"x"))[0], KIND, "0 complete fields named data or body"),
        (make_form(("data", b"x"), ("data", b"y"))[0], KIND, "2 complete fields"),
        (make_form(*[("x", b"")] * 17)[0], KIND, "Too many files"),
        (FORM.replace(b"Content-Type", b"X-" + b"y" * 10_000), KIND, "malformed"),
        (FORM.replace(b"Content-Type: ", b"Content\x00Type "), KIND, "malformed"),
    ],
)
def test_an_invalid_form_is_a_bad_request(body: bytes, kind: str, text: str) -> None:
    with pytest.raises(BadRequest, match=text):
        asyncio.run(read_field(body, Headers({"Content-Type": kind}), ("data", "body")))


def test_a_form_may_contain_any_bytes() -> None:
    data = b"\r\n--xY\r\n\r\n--xYz-\r\n-" + os.urandom(20_000) + b"\r\n\r\n"
    body, headers = make_form(("data", data))
    assert asyncio.run(read_field(body, Headers(headers), ("data",))) == data
