"""Hugging Face inference with the real client and with raw requests."""

from __future__ import annotations

import base64
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

from asking import Answer, LiveServer, ask, serve
from pictag import pipeline
from pictag.options import Activation
from pictag.server.http_errors import BadRequest
from pictag.server.protocols.huggingface import parse_request
from tinymodel import make_image, make_tiny_model

RED = (255, 0, 0)


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


IMAGE = encode(Image.new("RGB", (12, 9), RED))
TEXT = base64.b64encode(IMAGE).decode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    with serve({"colours": folder, "org/name": "embedded"}) as server:
        yield server


@pytest.fixture
def client(server: LiveServer) -> InferenceClient:
    return InferenceClient(model=server.url, provider="hf-inference", token="hf_secret")


def post(
    server: LiveServer, body: Any, path: str = "/", content_type: str | None = None, **headers: str
) -> Answer:
    if content_type is not None:
        headers["Content-Type"] = content_type
    return ask(server, "POST", path, body, headers)


def post_json(server: LiveServer, value: Any, path: str = "/") -> Answer:
    return post(server, json.dumps(value), path, "application/json")


def pairs(labels: Any) -> list[tuple[str, float]]:
    return [(label["label"], label["score"]) for label in labels]


class TestHuggingFaceClient:
    def test_classifies_bytes_and_paths(self, client: InferenceClient, tmp_path: Path) -> None:
        path = make_image(tmp_path / "green.png", "green")
        assert client.image_classification(IMAGE)[0].label == "red"
        assert client.image_classification(str(path))[0].label == "green"
        assert client.image_classification(path)[0].label == "green"

    def test_ignores_a_wrong_file_extension(self, client: InferenceClient, tmp_path: Path) -> None:
        for name in ("red.jpg", "red.txt", "red.json", "red"):
            (tmp_path / name).write_bytes(IMAGE)
            assert client.image_classification(tmp_path / name)[0].label == "red", name

    def test_gets_the_same_results_as_the_library(self, client: InferenceClient, server: LiveServer) -> None:
        image = encode(Image.effect_mandelbrot((90, 60), (-2, -1, 1, 1), 40).convert("RGB"), "JPEG")
        classifier = pipeline(model="embedded")
        url = f"{server.url}/models/org/name"
        functions: tuple[Activation | None, ...] = (None, "softmax", "sigmoid", "none")
        for top_k, function in zip((5, 3, 200, 2), functions, strict=True):
            got = client.image_classification(
                image,
                model=url,
                top_k=top_k,
                function_to_apply=function,
            )
            wanted = classifier(image, top_k=top_k, function_to_apply=function)
            assert [label.label for label in got] == [label["label"] for label in wanted]
            assert [label.score for label in got] == pytest.approx([w["score"] for w in wanted], abs=1e-5)

    def test_shows_the_servers_error_messages(self, client: InferenceClient, server: LiveServer) -> None:
        with pytest.raises(HfHubHTTPError, match="this is not a known image format") as caught:
            client.image_classification(b"no image")
        assert caught.value.response.status_code == 415
        assert caught.value.response.headers["x-request-id"] in str(caught.value)
        with pytest.raises(HfHubHTTPError, match="top_k=0 is not a whole number of 1 or more"):
            client.image_classification(IMAGE, top_k=0)
        with pytest.raises(HfHubHTTPError, match="Unknown model: 'org/nome'"):
            client.image_classification(IMAGE, model=f"{server.url}/models/org/nome")

    def test_can_query_health_and_endpoint_info(self, client: InferenceClient, server: LiveServer) -> None:
        assert client.health_check()
        assert client.health_check(model=f"{server.url}/models/org/name")
        assert not client.health_check(model=f"{server.url}/models/other")
        assert client.get_endpoint_info()["model_id"] == "colours"
        assert client.get_endpoint_info(model=f"{server.url}/models/org/name")["model_id"] == "org/name"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_can_send_images_in_every_way(server: LiveServer, tmp_path: Path) -> None:
    path = make_image(tmp_path / "blue image.png", "blue")
    for arguments in (
        ["--data-binary", f"@{path}", f"{server.url}/"],
        ["--data-binary", f"@{path}", f"{server.url}/models/colours?top_k=3"],
        ["-T", str(path), f"{server.url}/predictions/colours"],
        ["-F", f"data=@{path}", f"{server.url}/predictions/colours"],
        ["-d", json.dumps({"inputs": base64.b64encode(path.read_bytes()).decode()}), server.url],
    ):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", *arguments], capture_output=True, check=True
        )
        found = json.loads(done.stdout)
        best = found[0]["label"] if isinstance(found, list) else next(iter(found))
        assert best == "blue", arguments


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("path", ["/", "/predictions/colours"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_curl_is_told_how_to_send_an_image_that_it_sent_as_a_form(
    server: LiveServer, tmp_path: Path, path: str, kind: str
) -> None:
    file = tmp_path / "image"
    file.write_bytes(encode(Image.effect_mandelbrot((90, 60), (-2, -1, 1, 1), 40).convert("RGB"), kind))
    for data in (f"@{file}", "image.jpg", "inputs=image.jpg"):
        done = subprocess.run(
            ["curl", "-sS", "--max-time", "20", "-d", data, f"{server.url}{path}"],
            capture_output=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        assert answer["code"] == 400
        assert "curl --data-binary @photo.jpg" in answer["message"]


def test_an_image_with_the_content_type_of_a_form_is_classified(server: LiveServer) -> None:
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        image = encode(Image.new("RGB", (12, 9), RED), kind)  # as urllib sends it
        answer = post(server, image, content_type="application/x-www-form-urlencoded")
        assert json.loads(answer.body)[0]["label"] == "red", kind


@pytest.mark.parametrize(
    "content_type",
    [None, "image/png", "image/jpeg", "application/json", "text/html", "application/octet-stream", "ö;;="],
)
def test_the_content_type_is_ignored(server: LiveServer, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type.encode("utf-8").decode("latin-1")}
    answer = ask(server, "POST", "/", IMAGE, headers)
    assert answer.status == 200
    assert json.loads(answer.body)[0]["label"] == "red"
    assert answer.headers["content-type"] == "application/json"
    text = json.dumps({"inputs": TEXT})
    assert json.loads(post(server, text, content_type="text/plain").body)[0]["label"] == "red"


def test_top_k_counts_in_the_query_and_in_the_parameters(server: LiveServer) -> None:
    assert len(json.loads(post(server, IMAGE, "/?top_k=2").body)) == 2
    assert len(json.loads(post_json(server, {"inputs": TEXT}, "/?top_k=2").body)) == 2
    both = post_json(server, {"inputs": TEXT, "parameters": {"top_k": 1}}, "/?top_k=2")
    assert len(json.loads(both.body)) == 1
    assert len(json.loads(post(server, IMAGE, "/?top_k=1000").body)) == 3
    assert json.loads(post(server, IMAGE, "/?min_score=0.999").body) == []


def test_logits_below_zero_are_labels_too(server: LiveServer) -> None:
    found = json.loads(post(server, IMAGE, "/?function_to_apply=none").body)
    assert [label["score"] for label in found] == pytest.approx([2, -2, -2])
    for query in ("top_k=3&min_score=0", "min_score=-2.5"):
        assert json.loads(post(server, IMAGE, f"/?function_to_apply=none&{query}").body) == found
    assert json.loads(post(server, IMAGE, "/?function_to_apply=none&min_score=0.1").body) == found[:1]


def test_a_list_of_images_gives_a_list_of_results_with_individual_errors(server: LiveServer) -> None:
    bad = base64.b64encode(IMAGE[:40]).decode()
    answer = post_json(server, {"inputs": [TEXT, bad, TEXT], "parameters": {"top_k": 1}})
    assert answer.status == 200
    first, failed, last = json.loads(answer.body)
    assert pairs(first) == pairs(last)
    assert first[0]["label"] == "red"
    assert failed["type"] == "corrupt_image"
    assert failed["code"] == 422
    assert failed["error"]
    one = json.loads(post_json(server, {"inputs": [TEXT]}).body)
    assert one[0][0]["label"] == "red"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "no 'inputs'"),
        ({"inputs": None}, "no 'inputs'"),
        ({"inputs": ""}, "'inputs' is not a string"),
        ({"inputs": 3}, "'inputs' is not a string"),
        ({"inputs": {"image": "x"}}, "'inputs' is not a string"),
        ({"inputs": []}, "1 to 128 images"),
        ({"inputs": [""] * 129}, "1 to 128 images"),
        ({"inputs": [[TEXT]]}, "'inputs' is not a string"),
        ({"inputs": "no base64!"}, "base64"),
        ({"input": TEXT}, "'input'. Did you mean 'inputs'"),
        ({"inputs": TEXT, "parameters": [1]}, "'parameters' is not an object"),
        ({"inputs": TEXT, "parameters": {"topk": 1}}, "Did you mean 'top_k'"),
        ({"inputs": TEXT, "parameters": {"function_to_apply": "max"}}, "softmax, sigmoid, none"),
        ([TEXT], "not an object"),
        (TEXT, "not an object"),
    ],
)
def test_an_invalid_json_request_is_a_bad_request(server: LiveServer, value: Any, message: str) -> None:
    answer = post_json(server, value)
    assert answer.status == 400
    assert message in json.loads(answer.body)["error"]


@pytest.mark.parametrize(
    "url", ["https://example.org/cat.jpg", "HTTP://example.org", "file:///etc/passwd", "ftp://example.org/x"]
)
def test_urls_are_rejected_by_default(server: LiveServer, url: str) -> None:
    answer = post_json(server, {"inputs": url})
    assert answer.status == 400
    assert "URL" in json.loads(answer.body)["error"]


def test_options_for_the_hub_are_ignored(server: LiveServer) -> None:
    answer = post_json(server, {"inputs": TEXT, "options": {"wait_for_model": True}, "parameters": None})
    assert answer.status == 200


@pytest.mark.parametrize(
    "name", ["org/name@main", "org/name/tree/main", "org", "name", "colours/", "Colours"]
)
def test_an_unknown_model_gets_404(server: LiveServer, name: str) -> None:
    answer = post(server, IMAGE, f"/models/{name}")
    assert answer.status == 404
    assert json.loads(answer.body)["type"] == "model_not_served"


def test_a_form_gets_a_hint_to_the_path_that_accepts_forms() -> None:
    with pytest.raises(BadRequest, match="/predictions"):
        parse_request(b"--x", {}, content_type="Multipart/Form-Data; boundary=x", default_top_k=5)


def test_urls_are_accepted_if_allowed() -> None:
    body = json.dumps({"inputs": ["https://example.org/a.jpg", TEXT]}).encode()
    request = parse_request(body, {}, content_type="", default_top_k=5)
    url, data = request.images
    assert getattr(url, "kind", None) == "url"
    assert data == IMAGE
