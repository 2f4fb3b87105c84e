"""Reading URLs from a real server on loopback, and the canary that must never see a connection."""

from __future__ import annotations

import base64
import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pictag.errors import AddressRefused, FetchFailed, FetchTimeout, FetchTooLarge, NotAPicture, OptionError
from pictag.images import FetchLimits, make_source, read_picture
from pictag.images import fetch as fetching
from pictag.images.fetch import fetch_bytes

Encode = Callable[..., bytes]
PRIVATE = FetchLimits(allow_private=True)


def private(**options: Any) -> FetchLimits:
    return FetchLimits(allow_private=True, **options)


class Handler(BaseHTTPRequestHandler):
    """Answers by path; the server keeps what it was asked."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.close_connection = True
        answer = self.server.answers.get(self.path.partition("?")[0])
        if answer is None:
            self.send_error(404)
        else:
            answer(self)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answers: dict[str, Callable[[Handler], None]], host: str) -> None:
        super().__init__((host, 0), Handler)
        self.answers = answers
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.connections = 0

    def verify_request(self, *_: object) -> bool:
        self.connections += 1
        return True

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


def send(data: bytes, status: int = 200, **headers: str) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        fields = {"Content-Length": str(len(data)), **{k.replace("_", "-"): v for k, v in headers.items()}}
        for name, value in fields.items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def redirect(target: str, status: int = 302) -> Callable[[Handler], None]:
    return send(b"", status, Location=target)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    running = []

    def start(answers: dict[str, Callable[[Handler], None]], host: str = "127.0.0.1") -> Server:
        server = Server(answers, host)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve({})


@pytest.fixture
def canary(serve: Callable[..., Server]) -> Iterator[Server]:
    """A server on loopback that must not be reached."""
    server = serve({"/": send(b"secret")})
    yield server
    assert server.connections == 0


def test_a_url_is_read_into_a_picture(photo: Image.Image, encode: Encode, server: Server) -> None:
    data = encode(photo, "PNG")
    server.answers["/a b.png"] = server.answers["/a%20b.png"] = send(data)
    source = make_source(server.url("/a%20b.png?size=large"))
    picture = read_picture(source, fetch=PRIVATE)
    assert picture.image.tobytes() == photo.tobytes()
    path, headers = server.asked[0]
    assert path == "/a%20b.png?size=large"
    assert headers["Host"] == f"127.0.0.1:{server.port}"
    assert "Authorization" not in headers


def test_a_web_page_is_named_as_one(server: Server) -> None:
    server.answers["/"] = send(b"<!doctype html><title>Log in</title>")
    with pytest.raises(NotAPicture, match="web page"):
        read_picture(make_source(server.url()), fetch=PRIVATE)


def test_an_answer_in_chunks_or_without_length_is_read(server: Server) -> None:
    def chunked(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    server.answers = {"/chunked": chunked, "/open": send(b"abcde", Content_Length="")}
    for path in server.answers:
        assert fetch_bytes(server.url(path), limits=PRIVATE) == b"abcde"


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate"])
def test_an_answer_that_was_compressed_unasked_is_unpacked(server: Server, encoding: str) -> None:
    import zlib

    packed = zlib.compress(b"abcde") if encoding == "deflate" else gzip.compress(b"abcde")
    server.answers["/"] = send(packed, Content_Encoding=encoding)
    assert fetch_bytes(server.url(), limits=PRIVATE) == b"abcde"
    assert server.asked[0][1]["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("broken", [gzip.compress(b"abcde")[:-4], b"no gzip"])
def test_a_broken_compressed_answer_is_a_failure(server: Server, broken: bytes) -> None:
    server.answers["/"] = send(broken, Content_Encoding="gzip")
    with pytest.raises(FetchFailed, match="compressed answer"):
        fetch_bytes(server.url(), limits=PRIVATE)


def test_an_encoding_that_was_not_asked_for_is_a_failure(server: Server) -> None:
    server.answers["/"] = send(b"...", Content_Encoding="br")
    with pytest.raises(FetchFailed, match="encoding br"):
        fetch_bytes(server.url(), limits=PRIVATE)


@pytest.mark.parametrize("status", [204, 206, 300, 400, 401, 403, 404, 410, 429, 500, 503])
def test_a_status_other_than_200_is_a_failure_that_names_it(server: Server, status: int) -> None:
    server.answers["/"] = send(b"", status)
    with pytest.raises(FetchFailed, match=str(status)) as caught:
        fetch_bytes(server.url(), limits=PRIVATE)
    assert isinstance(caught.value, OSError)


def test_more_bytes_than_allowed_are_refused_however_they_come(server: Server) -> None:
    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(65536))
        except OSError:
            pass

    server.answers = {
        "/stated": send(b"", Content_Length="10000000000"),
        "/absurd": send(b"", Content_Length="9" * 400),
        "/endless": endless,
        "/bomb": send(gzip.compress(bytes(10**8)), Content_Encoding="gzip"),
        "/exact": send(bytes(1000)),
    }
    assert len(fetch_bytes(server.url("/exact"), limits=private(max_bytes=1000))) == 1000
    for path in server.answers:
        with pytest.raises((FetchTooLarge, FetchFailed)) as caught:
            fetch_bytes(server.url(path), limits=private(max_bytes=999))
        if path != "/absurd":
            assert isinstance(caught.value, FetchTooLarge)


def test_an_answer_that_breaks_off_is_a_failure(server: Server) -> None:
    server.answers["/"] = send(b"abc", Content_Length="100")
    with pytest.raises(FetchFailed):
        fetch_bytes(server.url(), limits=PRIVATE)


@pytest.mark.parametrize("answer", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000])
def test_an_answer_that_is_no_http_is_a_failure(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def talk() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        threading.Thread(target=talk, daemon=True).start()
        with pytest.raises(FetchFailed):
            fetch_bytes(f"http://127.0.0.1:{listener.getsockname()[1]}/", limits=PRIVATE)


def test_a_port_where_nobody_listens_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(FetchFailed, match=f"http://127.0.0.1:{port}/x"):
        fetch_bytes(f"http://127.0.0.1:{port}/x", limits=PRIVATE)


def drip(part: bytes) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.wfile.write(part)
        try:
            for _ in range(100):
                handler.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    return answer


@pytest.mark.parametrize(
    "part",
    [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"],
    ids=["status", "headers", "body"],
)
def test_the_time_limit_is_for_all_of_it_not_for_each_byte(server: Server, part: bytes) -> None:
    server.answers["/"] = drip(part)
    begun = time.monotonic()
    with pytest.raises(FetchTimeout, match=r"within 0\.4 s") as caught:
        fetch_bytes(server.url(), limits=private(timeout_s=0.4))
    assert time.monotonic() - begun < 2
    assert isinstance(caught.value, TimeoutError)


def test_redirects_share_one_time_limit(server: Server) -> None:
    def slow(handler: Handler) -> None:
        time.sleep(0.2)
        redirect("/")(handler)

    server.answers["/"] = slow
    with pytest.raises(FetchTimeout):
        fetch_bytes(server.url(), limits=private(timeout_s=0.5, max_redirects=50))


def test_a_look_up_that_never_answers_ends_in_time() -> None:
    def hang(host: str, port: int) -> list[str]:
        time.sleep(5)
        return []

    begun = time.monotonic()
    with pytest.raises(FetchTimeout, match="name"):
        fetch_bytes("http://example.org/", limits=FetchLimits(timeout_s=0.2), resolve=hang)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("answer", [OSError("no such host"), UnicodeError("label too long"), []])
def test_a_name_that_is_not_known_is_a_failure(answer: object) -> None:
    def resolve(host: str, port: int) -> list[str]:
        if isinstance(answer, Exception):
            raise answer
        return []

    with pytest.raises(FetchFailed, match="not known"):
        fetch_bytes("http://example.org/", resolve=resolve)


def test_redirects_are_followed_up_to_the_limit(server: Server) -> None:
    server.answers = {
        "/0": redirect("/1", 301),
        "/1": redirect("2", 303),
        "/2": redirect(server.url("/3"), 307),
        "/3": send(b"found"),
        "/loop": redirect("/loop", 308),
    }
    assert fetch_bytes(server.url("/0"), limits=PRIVATE) == b"found"
    with pytest.raises(FetchFailed, match="more than 2 redirects"):
        fetch_bytes(server.url("/0"), limits=private(max_redirects=2))
    server.asked.clear()
    with pytest.raises(FetchFailed, match="more than 3 redirects"):
        fetch_bytes(server.url("/loop"), limits=PRIVATE)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.org/", "gopher://a/", "data:,x", "https://[::1/"]
)
def test_a_redirect_leads_to_http_only(server: Server, target: str) -> None:
    server.answers["/"] = redirect(target)
    with pytest.raises(AddressRefused):
        fetch_bytes(server.url(), limits=PRIVATE)


LOOPBACK = (
    "127.0.0.1 127.1 0x7f.1 0x7f000001 2130706433 0177.0.0.1 017700000001 127.0.0.1. 0 0.0.0.0 "
    "[::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] "
    "localhost localhost. LOCALHOST a.localhost 127。0。0。1 ①②⑦.0.0.1"
)


@pytest.mark.parametrize("host", LOOPBACK.split())
def test_no_disguise_of_loopback_is_connected_to(canary: Server, host: str) -> None:
    with pytest.raises(FetchFailed):
        fetch_bytes(canary.url(host=host), limits=FetchLimits(timeout_s=2))


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "100.64.0.1", "10.0.0.1", "192.168.0.1", "[fe80::1]", "[fd00::1]"]
)
def test_private_addresses_are_refused_without_a_connection(host: str) -> None:
    begun = time.monotonic()
    with pytest.raises(AddressRefused, match="allow private URLs") as caught:
        fetch_bytes(f"http://{host}/")
    assert time.monotonic() - begun < 1
    assert isinstance(caught.value, PermissionError)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]]
)
def test_a_name_that_leads_to_loopback_is_refused(canary: Server, addresses: list[str]) -> None:
    with pytest.raises(AddressRefused) as caught:
        fetch_bytes(canary.url(host="rebind.example"), resolve=lambda *_: addresses)
    assert "127.0.0.1" not in str(caught.value), "a stranger learns nothing about the network"


def test_the_connection_goes_to_the_address_that_was_checked(
    server: Server, canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/"] = send(b"checked")
    answers = [["127.0.0.1"], ["203.0.113.9"]]
    asked = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    url = server.url(host="pictures.example")
    assert fetch_bytes(url, limits=PRIVATE, resolve=changing) == b"checked"
    assert asked == ["pictures.example"], "the name was looked up once"
    assert server.asked[0][1]["Host"] == f"pictures.example:{server.port}"


def test_a_redirect_to_loopback_is_refused(
    serve: Callable[..., Server], canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        public = serve({"/": redirect(canary.url())}, "127.0.0.2")
    except OSError:
        pytest.skip("this system has one loopback address only")
    # The first hop has to pass: its address alone counts as public here.
    monkeypatch.setattr("pictag.images.connection.is_public", lambda address: address == "127.0.0.2")
    with pytest.raises(AddressRefused):
        fetch_bytes(public.url(host="pictures.example"), resolve=lambda *_: ["127.0.0.2"])
    assert len(public.asked) == 1


def test_the_next_address_is_tried_where_one_does_not_answer(server: Server) -> None:
    server.answers["/"] = send(b"second")
    url = server.url(host="two.example")
    assert fetch_bytes(url, limits=PRIVATE, resolve=lambda *_: ["::1", "127.0.0.1"]) == b"second"


def test_credentials_go_to_their_own_host_and_into_no_message(
    server: Server, serve: Callable[..., Server]
) -> None:
    other = serve({"/": send(b"elsewhere")})
    server.answers = {"/": redirect("/here"), "/here": redirect(other.url())}
    url = server.url("/?key=hush").replace("://", "://user:p%40ss@")
    assert fetch_bytes(url, limits=PRIVATE) == b"elsewhere"
    expected = "Basic " + base64.b64encode(b"user:p@ss").decode()
    assert [headers.get("Authorization") for _, headers in server.asked] == [expected] * 2
    assert "Authorization" not in other.asked[0][1]
    with pytest.raises(FetchFailed) as caught:
        fetch_bytes(url.replace("/?", "/missing?"), limits=PRIVATE)
    for secret in ("user", "p%40ss", "p@ss", "hush"):
        assert secret not in str(caught.value)


def test_no_proxy_of_the_environment_is_used(
    canary: Server, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, canary.url())
    server.answers["/"] = send(b"direct")
    assert fetch_bytes(server.url(), limits=PRIVATE) == b"direct"


@pytest.mark.parametrize(
    "url",
    [
        "http://",
        "https:///a.jpg",
        "http://[::1",
        "http://a:b:c/",
        "http://a:99999/",
        "http://exa mple/",
        "http://\0/",
    ],
)
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch_bytes(url, limits=FetchLimits(timeout_s=1), resolve=lambda *_: [])
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "options", [{"timeout_s": 0}, {"timeout_s": float("nan")}, {"max_bytes": 0}, {"max_redirects": -1}]
)
def test_limits_that_mean_nothing_are_errors(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        FetchLimits(**options)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for pictures.example, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    path = tmp_path / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:pictures.example"]
    command += ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "cert").read_bytes())
    return path


def test_the_certificate_is_that_of_the_name_not_of_the_address(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.answers["/"] = send(b"over TLS")

    def fetch(host: str) -> bytes:
        url = server.url(host=host).replace("http:", "https:")
        return fetch_bytes(url, limits=PRIVATE, resolve=lambda *_: ["127.0.0.1"])

    fetching._trusted.cache_clear()
    with pytest.raises(FetchFailed, match="certificate"):
        fetch("pictures.example")  # by nobody known
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    fetching._trusted.cache_clear()
    try:
        assert fetch("pictures.example") == b"over TLS"
        with pytest.raises(FetchFailed, match="certificate"):
            fetch("other.example")
    finally:
        fetching._trusted.cache_clear()
