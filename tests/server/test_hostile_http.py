"""Hostile requests are rejected with an ordinary error, and the server continues to work.

Slow and endless bodies are tested in test_app.py, hostile connections in test_transport.py.
"""

from __future__ import annotations

import base64
import http.client
import io
import json
import random
import socket
import struct
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from asking import Answer, LiveServer, ask, serve, talk
from pictag import pipeline
from tinymodel import make_tiny_model

MIB = 2**20
REFUSED = (415, 422)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[LiveServer]:
    with serve({"colours": folder, "embedded": "embedded"}, log_requests=False) as server:
        yield server


@pytest.fixture(autouse=True)
def server_still_works(server: LiveServer) -> Iterator[None]:
    """After each test the server must still respond."""
    yield
    answer = ask(server, "POST", "/", encode(Image.new("RGB", (9, 9), (0, 255, 0))))
    assert json.loads(answer.body)[0]["label"] == "green"


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def classify(server: LiveServer, data: bytes, path: str = "/") -> Answer:
    answer = ask(server, "POST", path, data)
    error = json.loads(answer.body)
    assert answer.status == 200 or set(error) == {"error", "message", "code", "type", "request_id"}
    assert answer.status < 500, error
    return answer


def peak_bytes(work: Callable[[], object]) -> int:
    """The peak memory that client and server allocate together."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def make_png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG with a large size in its header and little data."""
    head = make_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    data = make_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + data + make_chunk(b"IEND", b"")


PATTERN = Image.effect_mandelbrot((60, 40), (-2, -1, 1, 1), 40).convert("RGB")


class TestAmbiguousRequests:
    @pytest.mark.parametrize(
        "headers",
        [
            b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
            b"Content-Length: 3\r\nContent-Length: 4\r\n",
            b"Content-Length: 3, 4\r\n",
            b"Content-Length: -3\r\n",
            b"Content-Length: 3x\r\n",
            b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            b"X-Name: a\x00b\r\n",
            b"X\x00Name: ab\r\n",
            b"X Name: ab\r\n",
        ],
        ids=repr,
    )
    def test_get_400_and_end_the_connection(self, server: LiveServer, headers: bytes) -> None:
        reply = talk(server, b"POST / HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\nabc")
        assert reply.startswith(b"HTTP/1.1 400 ")
        assert reply.count(b"HTTP/1.1 ") == 1

    @pytest.mark.parametrize("size", [20_000, 70_000])
    def test_with_large_headers_get_431(self, server: LiveServer, size: int) -> None:
        for head in (
            b"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * size + b"\r\n\r\n",
            b"GET /" + b"a" * size + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * (size // 8) + b"\r\n",
        ):
            assert talk(server, head).startswith(b"HTTP/1.1 431 ")


class TestJson:
    @pytest.mark.parametrize("path", ["/", "/v2/models/colours/infer"])
    @pytest.mark.parametrize(
        "body",
        [
            b'{"inputs":' + b"[" * 100_000,
            b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"inputs":' * 100_000,
            b'{"inputs": "AAAA", "parameters": {"top_k": NaN}}',
            b'{"inputs": [-Infinity]}',
            b'{"inputs": "\xff"}',
            b'{"inputs": "\\ud800"}',
            b'{"inputs": ' + b"9" * 100_000 + b"}",
            b"{",
            b"\xff\xfe{\x00",
        ],
        ids=lambda body: repr(body[:20]),
    )
    def test_that_is_invalid_or_deeply_nested_gets_400(
        self, server: LiveServer, path: str, body: bytes
    ) -> None:
        answer = ask(server, "POST", path, body, {"Content-Type": "application/json"})
        assert answer.status == 400
        assert len(answer.body) < 2000

    @pytest.mark.parametrize("top_k", ["-1", "0", str(2**63), '"5"', "true", "1.5", "[]", "1e999", "{}"])
    def test_with_an_invalid_top_k_gets_400(self, server: LiveServer, top_k: str) -> None:
        body = f'{{"inputs": "AAAA", "parameters": {{"top_k": {top_k}}}}}'
        answer = ask(server, "POST", "/", body.encode())
        assert answer.status == 400
        assert "top_k" in json.loads(answer.body)["error"]

    @pytest.mark.parametrize("text", ["!", "A", "A===", "\\u0000", "ÄÖ", " "])
    def test_with_invalid_base64_gets_400(self, server: LiveServer, text: str) -> None:
        assert ask(server, "POST", "/", f'{{"inputs": "{text}"}}'.encode()).status == 400

    @pytest.mark.parametrize("part", [b"[],", b"{},", b"0,", b'"",'])
    def test_that_would_fill_the_memory_is_rejected_with_little_memory(
        self, server: LiveServer, part: bytes
    ) -> None:
        size = 8 * MIB
        body = b'{"inputs":[' + part * (size // len(part)) + b"0]}"

        def send() -> None:
            assert ask(server, "POST", "/v2/models/colours/infer", body).status == 400

        # There are several copies of the body: in the client, in transit, in the server.
        assert peak_bytes(send) < 6 * size


class TestImages:
    @pytest.mark.parametrize(
        "size", [(65535, 65535), (12000, 8000), (2**31 - 1, 2**31 - 1), (50_000_001, 1)], ids=repr
    )
    def test_with_too_many_pixels_get_422_before_any_is_allocated(
        self, server: LiveServer, size: tuple[int, int]
    ) -> None:
        data = make_png(*size)

        def send() -> None:
            answer = classify(server, data)
            assert answer.status == 422
            assert json.loads(answer.body)["type"] in ("image_too_large", "corrupt_image")

        assert peak_bytes(send) < 4 * MIB

    def test_that_are_thin_and_would_be_enlarged_get_422(self, server: LiveServer) -> None:
        data = encode(Image.new("L", (30_000, 1)))

        def send() -> None:
            answer = classify(server, data, "/models/embedded")
            assert answer.status == 422, answer.body

        assert peak_bytes(send) < 16 * MIB

    @pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
    def test_with_many_frames_cost_one_frame(self, server: LiveServer, kind: str) -> None:
        frames = [Image.new("L", (40, 40), i % 251) for i in range(600 if kind == "GIF" else 100)]
        data = encode(frames[0], kind, save_all=True, append_images=frames[1:], duration=10)
        assert peak_bytes(lambda: classify(server, data)) < 8 * MIB + 4 * len(data)
        assert classify(server, data).status == 200

    def test_with_decompression_bombs_in_their_metadata_cost_nothing(self, server: LiveServer) -> None:
        bomb = zlib.compress(bytes(64 * MIB))
        text = make_chunk(b"zTXt", b"Comment\x00\x00" + bomb)
        profile = make_chunk(b"iCCP", b"profile\x00\x00" + bomb)
        good = encode(PATTERN)
        for extra in (text, profile, text * 20):
            data = good[:33] + extra + good[33:]

            def send(data: bytes = data) -> None:
                assert classify(server, data).status in (200, 422)

            assert peak_bytes(send) < 8 * MIB + 4 * len(data)

    def test_with_invalid_exif_are_read_or_rejected(self, server: LiveServer) -> None:
        for exif in (
            b"Exif\x00\x00MM\x00*\xff\xff\xff\xff",
            b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + b"\xff" * 60_000,
        ):
            assert classify(server, encode(PATTERN, "JPEG", exif=exif)).status in (200, 422)

    @pytest.mark.parametrize(
        "data",
        [
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ls) (w) file\n",
            b"8BPS\x00\x01" + bytes(200),
            b'<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>',
            b"%PDF-1.7\n" + bytes(200),
            b"SIMPLE  =                    T" + b" " * 3000,
            b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(200),
            b"\x00\x00\x01\x00\x01\x00\x10\x10\x00\x00\x01\x00\x20\x00\x68\x04\x00\x00\x16\x00\x00\x00"
            + bytes(200),
            b"P6 10 10 255\n" + bytes(300),
            b"\x7fELF" + bytes(200),
            b"PK\x03\x04" + bytes(200),
            b"<html></html>",
            b"\x00" * 1000,
            b" ",
        ],
        ids=lambda data: repr(data[:8]),
    )
    def test_of_unsupported_formats_get_415(self, server: LiveServer, data: bytes) -> None:
        answer = ask(server, "POST", "/", data, {"Content-Type": "image/jpeg"})
        assert answer.status == 415
        v2 = ask(server, "POST", "/v2/models/colours/infer", data, {"Inference-Header-Content-Length": "0"})
        assert v2.status == 400

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
    def test_that_are_truncated_anywhere_are_rejected(self, server: LiveServer, kind: str) -> None:
        data = encode(PATTERN, kind)
        for twentieth in range(1, 20):
            part = data[: len(data) * twentieth // 20]
            assert classify(server, part).status in REFUSED, (kind, twentieth)

    def test_that_are_mutated_never_cause_a_server_error(self, server: LiveServer) -> None:
        send_mutations(server, count=300, seed=7)

    @pytest.mark.soak
    @pytest.mark.timeout(3600)
    def test_that_are_mutated_a_million_times_never_cause_a_server_error(self, server: LiveServer) -> None:
        send_mutations(server, count=1_000_000, seed=8)

    @pytest.mark.shared
    @pytest.mark.filterwarnings("default::pictag.errors.PictagWarning")  # as in pictag serve
    def test_that_crashed_other_programs_are_rejected_or_read(self, server: LiveServer, shared: Path) -> None:
        files = [path for path in sorted((shared / "images" / "malformed").rglob("*")) if path.is_file()]
        assert len(files) > 100
        small = [path.read_bytes() for path in files if 0 < path.stat().st_size < 200_000]
        with ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(lambda data: classify(server, data).status, small))
        assert set(statuses) <= {200, 415, 422}
        assert statuses.count(415) > 50


def send_mutations(server: LiveServer, *, count: int, seed: int) -> None:
    """Send images with a few bytes changed, removed or duplicated, from four clients with keep-alive."""
    originals = [encode(PATTERN, kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")]
    originals.append(encode(PATTERN, "JPEG", progressive=True))

    def mutate(chance: random.Random) -> bytes:
        data = bytearray(chance.choice(originals))
        for _ in range(chance.randint(1, 8)):
            at = min(int(chance.expovariate(1 / 60)), len(data) - 1)  # mostly in the headers
            match chance.randrange(4):
                case 0:
                    data[at] = chance.randrange(256)
                case 1:
                    data[at : at + 2] = struct.pack("<H", chance.choice((0, 1, 0x7FFF, 0x8000, 0xFFFF)))
                case 2:
                    del data[at : at + chance.randint(1, 20)]
                case _:
                    data[at:at] = data[at : at + chance.randint(1, 20)]
            if not data:
                return b"x"
        return bytes(data)

    def run(client: int) -> None:
        chance = random.Random(seed * 1000 + client)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        for _ in range(count // 4):
            data = mutate(chance)
            connection.request("POST", "/", data)
            response = connection.getresponse()
            body = response.read()
            assert response.status in (200, *REFUSED, 400), (response.status, body, data)
        connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(4)))


@pytest.fixture(scope="module")
def canary() -> Iterator[tuple[int, list[Any]]]:
    """A local port that records who connects."""
    visitors: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                try:
                    connection, address = listener.accept()
                except TimeoutError:
                    continue
                visitors.append(address)
                connection.close()

        thread = threading.Thread(target=watch)
        thread.start()
        yield listener.getsockname()[1], visitors
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def reading(folder: Path) -> Iterator[LiveServer]:
    with serve({"colours": folder}, allow_urls=True) as server:
        yield server


class TestUrls:
    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]",
         "[::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "100.64.0.1", "10.0.0.1",
         "0.0.0.0", "localhost", "localhost.", "user:pass@127.0.0.1", "127.0.0.1%2f@example.org", "[::]",
         "①②⑦.⓪.⓪.①"],
    )  # fmt: skip
    def test_to_private_addresses_are_rejected_without_a_connection(
        self, reading: LiveServer, canary: tuple[int, list[Any]], host: str
    ) -> None:
        port, visitors = canary
        body = json.dumps({"inputs": f"http://{host}:{port}/a.png"}).encode()
        answer = ask(reading, "POST", "/", body)
        assert 400 <= answer.status < 500, answer.body
        assert b"pass" not in answer.body
        time.sleep(0.02)
        assert visitors == []

    @pytest.mark.parametrize(
        "url",
        ["file:///etc/passwd", "gopher://127.0.0.1", "http://", "https:///x", "//127.0.0.1/", "/etc/passwd"],
    )
    def test_of_other_schemes_are_rejected(self, reading: LiveServer, url: str) -> None:
        answer = ask(reading, "POST", "/", json.dumps({"inputs": url}).encode())
        assert 400 <= answer.status < 500
        assert b"root:" not in answer.body

    def test_are_disabled_by_default(self, server: LiveServer, canary: tuple[int, list[Any]]) -> None:
        port, visitors = canary
        for url in (f"http://127.0.0.1:{port}/", f"HTTPS://127.0.0.1:{port}/"):
            assert ask(server, "POST", "/", json.dumps({"inputs": url}).encode()).status == 400
        time.sleep(0.02)
        assert visitors == []


NAMES = [
    "../../etc/passwd",
    "%2e%2e/%2e%2e/etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "%2Fetc%2Fpasswd",
    "%00",
    "a%00b",
    "%0d%0aSet-Cookie:%20a=b",
    "%1b%5b31m",
    "%ff%fe",
    "a" * 5000,
    "colours%00",
    "colours/.",
    "./colours",
    "%3Cscript%3E",
    "con",
    "~root",
    "..%5c..%5cwindows",
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/models/{}"),
        ("GET", "/models/{}/info"),
        ("GET", "/models/{}/health"),
        ("POST", "/v2/models/{}/infer"),
        ("GET", "/v2/models/{}"),
        ("GET", "/v2/models/{}/versions/1/config"),
        ("POST", "/predictions/{}"),
        ("GET", "/page/{}"),
    ],
)
def test_a_models_name_never_opens_a_file(server: LiveServer, method: str, path: str) -> None:
    for name in NAMES:
        answer = ask(server, method, path.format(name), b"x" if method == "POST" else None)
        assert answer.status in (400, 404, 405), name
        assert len(answer.body) < 2500
        assert "set-cookie" not in answer.headers
        assert b"root:" not in answer.body
        assert json.loads(answer.body)["error"].isprintable()


def test_labels_may_contain_any_text(tmp_path: Path) -> None:
    labels = (
        "<script>alert(1)</script>",
        "two\nlines\r\nX: y",
        "\x1b[31mred\x07",
        'q"uo:te\\',
        "\u2028😀",
        "ä:b",
    )
    folder = make_tiny_model(tmp_path, labels=labels)
    data = encode(PATTERN)
    with serve({"odd <b>name</b>": folder}) as server:
        answer = ask(server, "POST", "/", data, {"Accept": "text/html"})
        assert {label["label"] for label in json.loads(ask(server, "POST", "/?top_k=9", data).body)} == set(
            labels
        )
        assert answer.headers["content-type"] == "application/json"
        assert answer.body.decode("ascii").isprintable()
        output = {"name": "scores", "parameters": {"classification": 9, "binary_data": True}}
        tensor = {
            "name": "image",
            "datatype": "BYTES",
            "shape": [1],
            "data": [base64.b64encode(data).decode()],
        }
        reply = ask(
            server,
            "POST",
            "/v2/models/odd%20%3Cb%3Ename%3C%2Fb%3E/infer",
            json.dumps({"inputs": [tensor], "outputs": [output]}),
        )
        length = int(reply.headers["inference-header-content-length"])
        assert json.loads(reply.body[:length])["outputs"][0]["shape"] == [1, 6]
        for label in labels:
            assert label.encode() in reply.body[length:]


def test_concurrent_requests_do_not_change_an_images_result(server: LiveServer) -> None:
    rng = np.random.default_rng(3)
    images = [
        encode(Image.fromarray(rng.integers(0, 256, (rng.integers(20, 90), 50, 3), np.uint8)))
        for _ in range(40)
    ]
    alone = pipeline(model="embedded")
    wanted = [{label["label"]: label["score"] for label in alone(image, top_k=None)} for image in images]
    torn = images[0][:200]

    def send(number: int) -> None:
        if number % 5 == 4:  # an invalid one in between
            assert ask(server, "POST", "/models/embedded", torn).status == 422
        answer = ask(server, "POST", "/models/embedded?top_k=200", images[number])
        got = {label["label"]: label["score"] for label in json.loads(answer.body)}
        assert got == pytest.approx(wanted[number], abs=1e-5)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(send, range(40)))
