"""Read URLs, with limits on time, size and redirects, and from public addresses only.

No proxy is used, whatever the environment says: a proxy would look up names itself, after our check of the
addresses. Certificates are checked against the system's store, or ``SSL_CERT_FILE``.
"""

from __future__ import annotations

import base64
import functools
import ssl
import zlib
from typing import TYPE_CHECKING

import httpcore2
import httpx2

from pictag.errors import AddressRefused, FetchFailed, FetchTimeout, FetchTooLarge, shorten
from pictag.images.connection import Deadline, PinnedBackend, Resolve, find_addresses, look_up
from pictag.images.limits import FetchLimits

if TYPE_CHECKING:
    from collections.abc import Iterator

_REDIRECTS = (301, 302, 303, 307, 308)
_FETCH_LIMITS = FetchLimits()
_ZLIB_OR_GZIP = zlib.MAX_WBITS | 32


def fetch_bytes(url: str, *, limits: FetchLimits = _FETCH_LIMITS, resolve: Resolve = look_up) -> bytes:
    """Read the content of an ``http:`` or ``https:`` URL.

    Every redirect is checked like the first URL. A name and password in the URL are sent only to its own
    host and never appear in a message. ``resolve`` returns the addresses of a host and port.

    Raises `AddressRefused`, `FetchTimeout`, `FetchTooLarge` or, for any other failure, `FetchFailed`.
    """
    deadline = Deadline(limits.timeout_s)
    first = target = _parse(url)
    for _ in range(limits.max_redirects + 1):
        same_origin = (target.scheme, target.host, target.port) == (first.scheme, first.host, first.port)
        credentials = f"{first.username}:{first.password}" if first.userinfo and same_origin else ""
        try:
            found = _get(target, credentials, deadline=deadline, limits=limits, resolve=resolve)
        except FetchFailed:
            raise
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise FetchTimeout(
                f"{show_url(target)}: not read within {limits.timeout_s:g} s. Try again, or raise timeout_s."
            ) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
            raise FetchFailed(
                f"{show_url(target)}: {shorten(error) or 'the connection was closed'}."
            ) from error
        if isinstance(found, bytes):
            return found
        target = found
    raise FetchFailed(f"{show_url(first)}: more than {limits.max_redirects} redirects.")


def show_url(url: httpx2.URL) -> str:
    """The URL for a message, without name and password, and without the query, which may contain a key."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = f":{url.port}" if url.port else ""
    return shorten(f"{url.scheme}://{host}{port}{url.path}{'?…' if url.query else ''}")


def _parse(url: str) -> httpx2.URL:
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        # The text isn't shown: it may contain a password, and a broken URL can't be redacted reliably.
        raise AddressRefused("The URL is malformed.") from error
    if parsed.scheme not in ("http", "https"):
        raise AddressRefused(f"Only http: and https: URLs are supported, not {shorten(parsed.scheme, 40)}:.")
    if not parsed.host:
        raise AddressRefused(f"{show_url(parsed)}: the URL has no host.")
    if parsed.port is not None and not 1 <= parsed.port <= 65535:
        raise AddressRefused(f"{show_url(parsed)}: {parsed.port} is not a valid port.")
    return parsed


def _get(
    url: httpx2.URL, credentials: str, *, deadline: Deadline, limits: FetchLimits, resolve: Resolve
) -> bytes | httpx2.URL:
    """The content of the URL, or the URL that it redirects to."""
    addresses = find_addresses(
        url.host,
        url.port or (443 if url.scheme == "https" else 80),
        shown=show_url(url),
        deadline=deadline,
        allow_private=limits.allow_private,
        resolve=resolve,
    )
    headers = [
        (b"Host", url.netloc),
        (b"Accept", b"image/*,*/*;q=0.5"),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", b"pictag"),
        (b"Connection", b"close"),
    ]
    if credentials:
        headers.append((b"Authorization", b"Basic " + base64.b64encode(credentials.encode())))
    where = httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    context = _trusted() if url.scheme == "https" else None
    with (
        httpcore2.ConnectionPool(
            ssl_context=context, network_backend=PinnedBackend(addresses, deadline)
        ) as pool,
        pool.stream("GET", where, headers=headers) as response,
    ):
        received = {name.lower(): value for name, value in response.headers}
        if response.status in _REDIRECTS and b"location" in received:
            return _follow(url, received[b"location"])
        if response.status != 200:
            raise FetchFailed(f"{show_url(url)}: the server responded with status {response.status}.")
        return _read_body(response, received, shown=show_url(url), max_bytes=limits.max_bytes)


@functools.cache
def _trusted() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


def _follow(url: httpx2.URL, location: bytes) -> httpx2.URL:
    try:
        target = url.copy_with(userinfo=b"", fragment=None).join(location.decode("utf-8", "surrogateescape"))
        return _parse(str(target.copy_with(userinfo=b"")))
    except AddressRefused:
        raise
    except (httpx2.InvalidURL, ValueError) as error:
        raise AddressRefused(f"{show_url(url)} redirects to a malformed URL.") from error


def _read_body(
    response: httpcore2.Response, headers: dict[bytes, bytes], *, shown: str, max_bytes: int
) -> bytes:
    too_large = FetchTooLarge(f"{shown}: larger than the limit of {max_bytes:,} bytes.")
    stated = headers.get(b"content-length", b"")
    if stated.isdigit() and int(stated[:19]) > max_bytes:
        raise too_large
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    parts: Iterator[bytes] = response.iter_stream()
    if encoding in (b"gzip", b"x-gzip", b"deflate"):
        parts = _inflate(parts, shown=shown, max_bytes=max_bytes)
    elif encoding not in (b"identity", b""):
        raise FetchFailed(f"{shown}: unsupported content encoding {shorten(encoding.decode('latin-1'), 40)}.")
    body = bytearray()
    for part in parts:
        body += part
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _inflate(parts: Iterator[bytes], *, shown: str, max_bytes: int) -> Iterator[bytes]:
    """Decompress part by part, and stop one byte above the limit."""
    inflater = zlib.decompressobj(_ZLIB_OR_GZIP)
    left = max_bytes + 1
    try:
        for part in parts:
            piece = inflater.decompress(part, left)
            left -= len(piece)
            yield piece
            if left <= 0:
                return
    except zlib.error as error:
        raise FetchFailed(f"{shown}: the compressed response is corrupt.") from error
    if not inflater.eof:
        raise FetchFailed(f"{shown}: the compressed response was truncated.")
