"""``POST /v1/keywords``."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from asking import LiveServer, ask, serve
from pictag.cli import main
from pictag.vocabulary import match_labels
from tinymodel import make_image, make_tiny_model

LABELS = ("n02123045", "n02123159", "n07753592")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"), labels=LABELS)


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[LiveServer]:
    with serve({"cats": model, "org/other": model}) as server:
        yield server


@pytest.fixture
def red(tmp_path: Path) -> Path:
    return make_image(tmp_path / "red.png", "red")


def test_an_image_gives_the_keywords_of_the_command(
    server: LiveServer, model: Path, red: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = ask(server, "POST", "/v1/keywords", red.read_bytes())
    assert answer.status == 200
    assert main(["keywords", str(red), "-m", str(model), "-q"]) == 0
    assert json.loads(answer.body)["keywords"] == json.loads(capfd.readouterr().out)["keywords"]


def test_a_list_gives_keywords_and_errors_in_order(server: LiveServer, red: Path) -> None:
    images = [base64.b64encode(data).decode() for data in (red.read_bytes(), b"no image")]
    body = json.dumps({"inputs": images, "parameters": {"max_keywords": 1}}).encode()
    first, second = json.loads(ask(server, "POST", "/v1/keywords", body).body)
    assert first["source"] == "image 1"
    assert [entry["keyword"] for entry in first["keywords"]] == ["tabby cat"]
    assert second["type"] == "not_an_image"


def test_the_query_chooses_the_model_and_the_options(server: LiveServer, red: Path) -> None:
    answer = ask(
        server, "POST", "/v1/keywords?model=org/other&max_keywords=2&min_score=0.9", red.read_bytes()
    )
    assert [entry["keyword"] for entry in json.loads(answer.body)["keywords"]] == ["tabby cat", "cat"]


def test_labels_come_with_the_keywords_if_they_are_asked_for(server: LiveServer, red: Path) -> None:
    with_labels = json.loads(ask(server, "POST", "/v1/keywords?top_k=2", red.read_bytes()).body)
    labels = json.loads(ask(server, "POST", "/?top_k=2", red.read_bytes()).body)
    assert with_labels["labels"] == labels
    assert len(labels) == 2
    without = json.loads(ask(server, "POST", "/v1/keywords", red.read_bytes()).body)
    assert without == {name: value for name, value in with_labels.items() if name != "labels"}


def test_the_list_of_models_counts_their_concepts(server: LiveServer) -> None:
    cats, other = json.loads(ask(server, "GET", "/models").body)
    assert cats["labels"] == other["labels"] == 3
    assert cats["concepts"] == len(match_labels(LABELS).broader) > 3


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("model=unknown", 404),
        ("top_k=0", 400),
        ("labels=1", 400),
        ("max_keywords=0", 400),
        ("min_score=x", 400),
    ],
)
def test_a_wrong_query_is_refused(server: LiveServer, red: Path, query: str, status: int) -> None:
    assert ask(server, "POST", f"/v1/keywords?{query}", red.read_bytes()).status == status
