"""Which addresses a URL may lead to: redirects, unusual notations, and a canary that must stay unreached."""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from images.imageserver import Server, redirect, send
from pictag.errors import AddressRefused, FetchFailed
from pictag.images import FetchLimits
from pictag.images import fetch as fetching
from pictag.images.fetch import fetch_bytes

PRIVATE = FetchLimits(allow_private=True)


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
        fetch_bytes(server.url("/0"), limits=replace(PRIVATE, max_redirects=2))
    server.asked.clear()
    with pytest.raises(FetchFailed, match="more than 3 redirects"):
        fetch_bytes(server.url("/loop"), limits=PRIVATE)
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.org/", "gopher://a/", "data:,x", "https://[::1/"]
)
def test_only_redirects_to_http_are_followed(server: Server, target: str) -> None:
    server.answers["/"] = redirect(target)
    with pytest.raises(AddressRefused):
        fetch_bytes(server.url(), limits=PRIVATE)


LOOPBACK = (
    "127.0.0.1 127.1 0x7f.1 0x7f000001 2130706433 0177.0.0.1 017700000001 127.0.0.1. 0 0.0.0.0 "
    "[::1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1] [::127.0.0.1] [64:ff9b::7f00:1] [2002:7f00:1::] "
    "localhost localhost. LOCALHOST a.localhost 127。0。0。1 ①②⑦.0.0.1"
)


@pytest.mark.parametrize("host", LOOPBACK.split())
def test_loopback_is_not_connected_to_in_any_notation(canary: Server, host: str) -> None:
    with pytest.raises(FetchFailed):
        fetch_bytes(canary.url(host=host), limits=FetchLimits(timeout_s=2))


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "100.64.0.1", "10.0.0.1", "192.168.0.1", "[fe80::1]", "[fd00::1]"]
)
def test_private_addresses_are_rejected(host: str) -> None:
    with pytest.raises(AddressRefused, match="allow_private_urls=True or --allow-private-urls") as caught:
        fetch_bytes(f"http://{host}/")
    assert isinstance(caught.value, PermissionError)


@pytest.mark.parametrize("port", [0, 65536])
def test_an_invalid_port_is_rejected(canary: Server, port: int) -> None:
    # 65536 + n would wrap around to port n.
    wrapped = port and canary.port + port
    with pytest.raises(AddressRefused, match="port"):
        fetch_bytes(f"http://127.0.0.1:{wrapped}/", limits=PRIVATE)


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::1"], ["::ffff:127.0.0.1"]]
)
def test_a_name_that_leads_to_loopback_is_rejected(canary: Server, addresses: list[str]) -> None:
    with pytest.raises(AddressRefused) as caught:
        fetch_bytes(canary.url(host="rebind.example"), resolve=lambda *_: addresses)
    assert "127.0.0.1" not in str(caught.value), "the message must not reveal the local network"


def test_the_connection_goes_to_the_checked_address(
    server: Server, canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answers["/"] = send(b"checked")
    answers = [["127.0.0.1"], ["203.0.113.9"]]
    asked = []

    def changing(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers.pop(0)

    url = server.url(host="images.example")
    assert fetch_bytes(url, limits=PRIVATE, resolve=changing) == b"checked"
    assert asked == ["images.example"], "the name was looked up once"
    assert server.asked[0][1]["Host"] == f"images.example:{server.port}"


def test_a_redirect_to_loopback_is_rejected(
    serve: Callable[..., Server], canary: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        public = serve({"/": redirect(canary.url())}, "127.0.0.2")
    except OSError:
        pytest.skip("this system has one loopback address only")
    # Only the first server's address counts as public here.
    monkeypatch.setattr("pictag.images.connection.is_public", lambda address: address == "127.0.0.2")
    with pytest.raises(AddressRefused):
        fetch_bytes(public.url(host="images.example"), resolve=lambda *_: ["127.0.0.2"])
    assert len(public.asked) == 1


def test_the_next_address_is_tried_if_one_fails(server: Server) -> None:
    server.answers["/"] = send(b"second")
    url = server.url(host="two.example")
    assert fetch_bytes(url, limits=PRIVATE, resolve=lambda *_: ["::1", "127.0.0.1"]) == b"second"


def test_credentials_are_sent_only_to_their_host_and_never_shown(
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


def test_the_environments_proxy_is_not_used(
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
def test_a_malformed_url_is_rejected(url: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch_bytes(url, limits=FetchLimits(timeout_s=1), resolve=lambda *_: [])
    assert len(str(caught.value)) < 400


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for images.example, with its key, in one file."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs the openssl program to make a certificate")
    path = tmp_path / "both.pem"
    command = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=DNS:images.example"]
    command += ["-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "cert")]
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes((tmp_path / "key").read_bytes() + (tmp_path / "cert").read_bytes())
    return path


def test_the_certificate_must_match_the_name(
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
        fetch("images.example")  # self-signed
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    fetching._trusted.cache_clear()
    try:
        assert fetch("images.example") == b"over TLS"
        with pytest.raises(FetchFailed, match="certificate"):
            fetch("other.example")
    finally:
        fetching._trusted.cache_clear()
