"""``POST /v1/explain``."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asking import LiveServer, ask, serve
from pictag import pipeline
from tinymodel import make_image, make_tiny_model

PATIENT = {"X-Request-Timeout-Ms": "60000"}  # the machine may be busy


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[LiveServer]:
    with serve({"colours": model, "embedded": "embedded"}) as server:
        yield server


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (160, 120), "red")
    image.paste((0, 0, 255), (80, 0, 160, 120))
    image.save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


@pytest.mark.parametrize("form", ["png", "heat"])
def test_the_reply_is_a_png(server: LiveServer, halves: Path, form: str) -> None:
    answer = ask(server, "POST", f"/v1/explain?format={form}", halves.read_bytes())
    assert answer.status == 200
    assert answer.headers["content-type"] == "image/png"
    image = Image.open(io.BytesIO(answer.body))
    assert (image.height / image.width == pytest.approx(0.75, abs=0.01)) == (form == "heat")


def test_the_numbers_are_those_of_the_library(server: LiveServer, model: Path, halves: Path) -> None:
    answer = ask(server, "POST", "/v1/explain?format=json&label=blue", halves.read_bytes())
    reply = json.loads(answer.body)
    with pipeline(model=model) as classifier:
        found = classifier.map_score(halves, "blue")
    assert (reply["label"], reply["index"], reply["method"]) == ("blue", 2, "activation")
    assert reply["score"] == pytest.approx(found.label.score, abs=1e-5)
    values = np.array(reply["map"]["values"])
    assert values.shape == (reply["map"]["height"], reply["map"]["width"]) == (48, 64)
    assert values[24, 8] == pytest.approx(found.values[60, 21], abs=0.05)
    assert values[24, 50] > 1 > values[24, 8]


def test_json_gives_the_image_and_the_label(server: LiveServer, halves: Path) -> None:
    body = {
        "inputs": base64.b64encode(halves.read_bytes()).decode(),
        "parameters": {"label": 2, "format": "json", "method": "occlusion"},
    }
    answer = ask(server, "POST", "/v1/explain?model=embedded", json.dumps(body).encode(), headers=PATIENT)
    reply = json.loads(answer.body)
    assert (reply["index"], reply["method"]) == (2, "occlusion")
    metrics = ask(server, "GET", "/metrics").body.decode()
    assert 'pictag_explanations_total{method="occlusion",model="embedded"} 1.0' in metrics


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("model=unknown", 404),
        ("label=purple", 400),
        ("label=3", 400),
        ("method=gradients", 400),
        ("format=gif", 400),
        ("top_k=1", 400),
    ],
)
def test_a_wrong_query_is_refused(server: LiveServer, halves: Path, query: str, status: int) -> None:
    assert ask(server, "POST", f"/v1/explain?{query}", halves.read_bytes()).status == status


def test_an_image_that_cannot_be_read_is_refused(server: LiveServer, tmp_path: Path) -> None:
    assert ask(server, "POST", "/v1/explain", b"no image").status == 415
    lists = json.dumps({"inputs": [base64.b64encode(b"x").decode()]}).encode()
    assert ask(server, "POST", "/v1/explain", lists).status == 400


def test_too_many_explanations_are_rejected_and_counted(server: LiveServer, halves: Path) -> None:
    services = server.services
    services.explaining += 100
    try:
        answer = ask(server, "POST", "/v1/explain", halves.read_bytes())
        assert (answer.status, json.loads(answer.body)["type"]) == (429, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        metrics = ask(server, "GET", "/metrics").body.decode()
        assert 'pictag_refused_total{reason="explanations"} 1.0' in metrics
        assert ask(server, "POST", "/", halves.read_bytes()).status == 200
    finally:
        services.explaining -= 100
    assert ask(server, "POST", "/v1/explain", halves.read_bytes()).status == 200
    assert services.explaining == 0


def test_an_explanation_ends_at_the_deadline(server: LiveServer, tmp_path: Path) -> None:
    image = make_image(tmp_path / "red.png", size=(64, 64)).read_bytes()
    assert ask(server, "POST", "/v1/explain?model=embedded", image).status == 200
    answer = ask(server, "POST", "/v1/explain?model=embedded", image, headers={"X-Request-Timeout-Ms": "20"})
    assert answer.status == 504
    assert server.services.explaining == 0
