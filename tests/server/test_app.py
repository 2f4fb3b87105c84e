"""What all protocols share: request ids, the API key, errors, limits on bodies, clients that leave."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import io
import json
import re
import socket
import time
import zlib
from collections.abc import Iterator

import pytest
from PIL import Image

from asking import Answer, LiveServer, ask, serve, talk
from liveserver import read_to_end, run_server
from tinymodel import make_image, make_tiny_model

KEY = "sesame-open"
ERROR_MEMBERS = {"error", "message", "code", "type", "request_id"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    with serve({"colours": folder}, max_body_bytes=100_000, body_timeout_s=0.6) as server:
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    with serve({"colours": folder}, api_key=KEY) as server:
        yield server


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_image(tmp_path_factory.mktemp("images") / "red.png").read_bytes()


def count_requests(server: LiveServer, route: str, status: int) -> float:
    text = server.services.metrics.render().decode()
    found = re.search(rf'pictag_requests_total{{route="{re.escape(route)}",status="{status}"}} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_a_safe_request_id_is_kept_and_any_other_replaced(server: LiveServer, image: bytes) -> None:
    for path, body in (("/", image), ("/", b"x"), ("/nothing", b"")):
        answer = ask(server, "POST", path, body, {"X-Request-Id": "job-7/a=b"})
        assert answer.headers["x-request-id"] == "job-7/a=b"
    for given in ("", "two words", "ä", "x" * 129, "<b>"):
        made = ask(server, "GET", "/nothing", headers={"X-Request-Id": given.encode().decode("latin-1")})
        assert re.fullmatch("[0-9a-f]{16}", made.headers["x-request-id"])
        assert json.loads(made.body)["request_id"] == made.headers["x-request-id"]
    assert len({ask(server, "GET", "/health").headers["x-request-id"] for _ in range(5)}) == 5


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/health/", 404),
        ("GET", "/v3", 404),
        ("DELETE", "/", 405),
        ("POST", "/health", 405),
        ("PATCH", "/v2/models/colours/infer", 405),
        ("GET", "/models/nothing/info", 404),
    ],
)
def test_all_errors_have_the_same_format(server: LiveServer, method: str, path: str, status: int) -> None:
    answer = ask(server, method, path)
    assert answer.status == status
    error = json.loads(answer.body)
    assert set(error) == ERROR_MEMBERS
    assert error["code"] == status
    assert error["error"] == error["message"]
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/", "GET, HEAD, POST"),
        ("GET", "/v2/models/colours/infer", "POST"),
        ("HEAD", "/v2/models/colours/infer", "POST"),
        ("DELETE", "/v2/models/colours/versions/1/infer", "POST"),
        ("GET", "/v2/models/nothing/infer", "POST"),
        ("POST", "/models/colours/info", "GET, HEAD"),
        ("POST", "/models/colours/health", "GET, HEAD"),
        ("DELETE", "/models/colours", "POST"),
        ("PUT", "/v2/models/colours/ready", "GET, HEAD"),
    ],
)
def test_a_wrong_method_gets_405_with_the_allowed_ones(
    server: LiveServer, method: str, path: str, allowed: str
) -> None:
    """colours/infer could be a model's name, but there is no such model."""
    answer = ask(server, method, path)
    assert (answer.status, answer.headers.get("allow")) == (405, allowed)


def test_models_named_like_paths_can_be_reached(
    tmp_path_factory: pytest.TempPathFactory, image: bytes
) -> None:
    folder = make_tiny_model(tmp_path_factory.mktemp("model"))
    names = ("stats", "org", "org/stats", "org/infer", "org/health", "infer")
    with serve(dict.fromkeys(names, folder)) as server:
        for name in names:
            described = ask(server, "GET", f"/v2/models/{name}")
            assert (described.status, json.loads(described.body).get("name")) == (200, name)
            assert json.loads(ask(server, "GET", f"/v2/models/{name}/config").body)["name"] == name
            for path in (f"/models/{name}", f"/v2/models/{name}/infer", f"/predictions/{name}"):
                headers = {"Inference-Header-Content-Length": "0"}
                assert ask(server, "POST", path, image, headers).status == 200, path
        assert ask(server, "GET", "/v2/models/org/config/infer").status == 405


def test_head_is_get_without_a_body(server: LiveServer) -> None:
    answer = ask(server, "HEAD", "/health")
    assert (answer.status, answer.body) == (200, b"")


def test_a_browser_gets_the_page_and_a_program_gets_json(server: LiveServer) -> None:
    html = ask(server, "GET", "/", headers={"Accept": "text/html"})
    assert html.headers["content-type"].startswith("text/html")
    assert html.headers["x-request-id"]
    assert json.loads(ask(server, "GET", "/").body)["server"] == "pictag"
    assert ask(server, "GET", "/page/page.js").status == 200


def test_models_are_listed_with_their_state(server: LiveServer, image: bytes) -> None:
    ask(server, "POST", "/", image)
    assert json.loads(ask(server, "GET", "/models").body) == [
        {"name": "colours", "state": "ready", "labels": 3, "concepts": 0}
    ]


OPEN = ["/health", "/ping", "/v2/health/live", "/v2/health/ready", "/models/colours/health", "/openapi.json",
        "/v2/models/colours/ready", "/page/page.js"]  # fmt: skip
CLOSED = ["/metrics", "/models", "/info", "/v2", "/v2/models/colours", "/models/colours/info"]


@pytest.mark.parametrize("path", OPEN)
def test_health_and_the_page_work_without_the_key(locked: LiveServer, path: str) -> None:
    assert ask(locked, "GET", path).status == 200


@pytest.mark.parametrize("path", CLOSED)
def test_everything_else_requires_the_key(locked: LiveServer, path: str, image: bytes) -> None:
    def status(**headers: str) -> int:
        return ask(locked, "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}).status

    assert status() == 401
    for wrong in ("", "Bearer", "Bearer x", f"Basic {KEY}", KEY, f"Bearer {KEY}x", f"Bearer {KEY[:-1]}"):
        assert status(Authorization=wrong) == 401, wrong
    assert status(X_Api_Key=KEY[:-1]) == 401
    for right in (f"Bearer {KEY}", f"bearer  {KEY}"):
        assert status(Authorization=right) == 200, right
    assert status(X_Api_Key=KEY) == 200
    assert status(X_Api_Key=KEY, Authorization="Bearer hf_of_somebody_else") == 200


def test_model_names_are_only_shown_to_clients_with_the_key(locked: LiveServer) -> None:
    for path in ("/models/nope/health", "/v2/models/nope/ready"):
        answer = ask(locked, "GET", path)
        assert answer.status == 404
        assert json.loads(answer.body)["type"] == "model_not_served"
        assert "'nope'" in json.loads(answer.body)["error"]
        assert b"colours" not in answer.body
    assert ask(locked, "GET", "/models").status == 401
    assert b"colours" in ask(locked, "GET", "/models", headers={"X-Api-Key": KEY}).body
    version = ask(locked, "GET", "/v2/models/colours/versions/2/ready")
    assert (version.status, b"no version '2'" in version.body) == (404, True)


def test_no_image_is_read_without_the_key(locked: LiveServer, image: bytes) -> None:
    for path in ("/", "/models/colours", "/predictions/colours", "/v2/models/colours/infer"):
        refused = ask(locked, "POST", path, image)
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert KEY not in refused.body.decode()
    assert ask(locked, "POST", "/", image, {"X-Api-Key": KEY}).status == 200


class TestBodies:
    def test_whose_length_is_too_large_get_413_before_they_are_read(self, server: LiveServer) -> None:
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000000\r\n\r\n"
        reply = talk(server, head)
        assert reply.startswith(b"HTTP/1.1 413 ")
        assert b"connection: close" in reply.lower()
        waiting = talk(server, head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert waiting.startswith(b"HTTP/1.1 413 ")

    def test_that_never_end_get_413(self, server: LiveServer) -> None:
        parts = (b"x" * 10_000 for _ in range(60))
        assert ask(server, "POST", "/", parts).status == 413

    @pytest.mark.parametrize("path", ["/", "/predictions/colours", "/v2/models/colours/infer"])
    def test_that_are_too_large_when_decompressed_get_413(self, server: LiveServer, path: str) -> None:
        for encoding, bomb in (
            ("gzip", gzip.compress(bytes(20_000_000))),
            ("deflate", zlib.compress(bytes(20_000_000))),
        ):
            answer = ask(server, "POST", path, bomb, {"Content-Encoding": encoding})
            assert answer.status == 413
            assert json.loads(answer.body)["type"] == "body_too_large"

    def test_that_are_slow_get_408_and_end_the_connection(self, server: LiveServer) -> None:
        reply = talk(server, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx")
        assert reply.startswith(b"HTTP/1.1 408 ")
        assert b"connection: close" in reply.lower()

    def test_may_be_compressed(self, server: LiveServer, image: bytes) -> None:
        answer = ask(server, "POST", "/", gzip.compress(image), {"Content-Encoding": "gzip"})
        assert json.loads(answer.body)[0]["label"] == "red"

    def test_may_be_chunked(self, server: LiveServer, image: bytes) -> None:
        answer = ask(server, "POST", "/", iter([image[:9], image[9:]]))
        assert json.loads(answer.body)[0]["label"] == "red"


def test_a_connection_stays_open_after_an_error(server: LiveServer, image: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    sock = None
    for body, status in ((b"no image", 415), (image, 200), (b"{", 400), (image, 200)):
        connection.request("POST", "/", body)
        sock = sock or connection.sock
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert connection.sock is sock
    connection.close()


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "x", "", "9" * 13, "٣"])
def test_an_invalid_timeout_is_a_bad_request(server: LiveServer, image: bytes, value: str) -> None:
    headers = {"X-Request-Timeout-Ms": value.encode().decode("latin-1")}
    answer = ask(server, "POST", "/", image, headers)
    assert answer.status == 400
    assert "X-Request-Timeout-Ms" in json.loads(answer.body)["error"]


def test_requests_are_counted_by_the_pattern_of_their_path(server: LiveServer, image: bytes) -> None:
    before = count_requests(server, "/models/{model:path}", 404)
    ask(server, "POST", "/models/secret-name", image)
    assert count_requests(server, "/models/{model:path}", 404) == before + 1
    metrics = ask(server, "GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert b"secret-name" not in metrics.body
    assert b"pictag_received_bytes_total" in metrics.body


def test_a_request_is_counted_before_its_response_arrives(server: LiveServer, image: bytes) -> None:
    """For every kind of response, whether or not the connection is closed."""
    for method, path, body, route, status in (
        ("POST", "/models/secret-name", image, "/models/{model:path}", 404),
        ("POST", "/", image, "/", 200),
        ("GET", "/health", b"", "/health", 200),
        ("POST", "/", b"no image", "/", 415),
    ):
        for _ in range(10):
            before = count_requests(server, route, status)
            assert ask(server, method, path, body).status == status
            assert count_requests(server, route, status) == before + 1


def test_work_for_a_client_that_left_is_dropped(server: LiveServer) -> None:
    file = io.BytesIO()
    Image.new("L", (7000, 7000)).save(file, "PNG")  # takes a while to decode
    data = file.getvalue()
    before = count_requests(server, "/", 499)
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            time.sleep(0.05)
    until = time.monotonic() + 20
    while count_requests(server, "/", 499) < before + 3:
        assert time.monotonic() < until, "the server did not notice that the clients left"
        time.sleep(0.02)


def test_a_stopping_server_is_live_but_not_ready(tmp_path_factory: pytest.TempPathFactory) -> None:
    with serve({"colours": make_tiny_model(tmp_path_factory.mktemp("model"))}) as server:
        server.services.is_stopping = True
        assert ask(server, "GET", "/health").status == 503
        assert ask(server, "GET", "/v2/health/ready").status == 400
        assert ask(server, "GET", "/v2/health/live").status == 200


def test_requests_that_are_cut_off_by_a_stop_get_an_error_response(
    tmp_path_factory: pytest.TempPathFactory, image: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """An incomplete body and an unfinished image; neither is an internal error."""
    model = f"colours={make_tiny_model(tmp_path_factory.mktemp('model'))}"
    with run_server(models=(model,), shutdown_timeout_s=1) as live:
        server = LiveServer(port=live.port, services=live.services)

        async def never(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        server.services.dispatcher.classify = never  # type: ignore[assignment,method-assign]
        stalled, waiting = (socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(2))
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(image)
        stalled.sendall(head + image[:9])
        waiting.sendall(head + image)
        time.sleep(0.3)
        live.server.stop()
        replies = []
        for sock in (stalled, waiting):
            with sock:
                replies.append(read_to_end(sock))
        for reply, status, kind in zip(replies, (408, 429), ("body_timeout", "overloaded"), strict=True):
            sent, _, body = reply.partition(b"\r\n\r\n")
            assert sent.startswith(b"HTTP/1.1 %d " % status), reply
            assert b"\r\nconnection: close" in sent
            assert b"x-request-id" in sent
            error = json.loads(body)
            assert set(error) == ERROR_MEMBERS
            assert (error["type"], "stopping" in error["error"]) == (kind, True)
        assert b"\r\nretry-after: 5" in replies[1]
        assert count_requests(server, "/", 408) == 1
        assert count_requests(server, "/", 429) == 1
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


def test_an_internal_error_is_500_without_details(
    tmp_path_factory: pytest.TempPathFactory, image: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serve({"colours": make_tiny_model(tmp_path_factory.mktemp("model"))}) as server:

        def fail(*_: object, **__: object) -> Answer:
            raise RuntimeError("a detail")

        server.services.dispatcher.classify = fail  # type: ignore[assignment,method-assign]
        answer = ask(server, "POST", "/", image)
    assert answer.status == 500
    assert "a detail" not in answer.body.decode()
    assert "a detail" in caplog.text
