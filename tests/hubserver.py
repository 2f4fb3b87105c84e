"""A small Hub on loopback that implements the protocol of huggingface_hub 2.4, with faults on demand.

It serves the description of a revision with its files, the tree, ``resolve`` with ETag, X-Repo-Commit and,
for large files, X-Linked-Etag, X-Linked-Size and a redirect to a second host (the CDN), Range requests, and
the error codes. `Faults` enables single faults. Every request is recorded in ``log``.

    with HubServer() as hub:
        commit = hub.publish("org/name", {"config.json": b"{}", "onnx/model.onnx": graph})
        # … run a client with HF_ENDPOINT=hub.url
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".onnx", ".onnx_data", ".data")  # what the Hub keeps in LFS
TELEMETRY = "/api/agent-harnesses"  # huggingface_hub's own request, unrelated to models


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived; ``host`` is ``hub`` or ``cdn``."""

    host: str
    method: str
    path: str
    authorization: str | None
    range: str | None


@dataclass(kw_only=True)
class Faults:
    """The faults to produce. A list has one entry per download, in order."""

    # close the connection after this many bytes of a larger file
    cut_after: list[int] = field(default_factory=list)
    wrong_bytes: int = 0  # this many downloads have the right size and wrong bytes
    extra_bytes: int = 0  # more than stated, in chunks
    missing_bytes: int = 0  # fewer than stated, in chunks
    redirect_loop: bool = False
    status: int | None = None  # answer everything with this status
    listed_name: str | None = None  # one more file in the list
    etag: str | None = None
    commit_header: str | None = None
    xet_refresh: str | None = None
    missing_file: str | None = None  # listed, but 404 when asked for
    token_trap: str | None = None  # small files redirect to this host
    move_after_listing: tuple[str, str] | None = None  # (branch, commit), after the list was sent
    garbage: bool = False  # 200 with something that is not the Hub's


@dataclass(kw_only=True)
class Repository:
    """A model: commits with their files, and the commits of its branches."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str | None = None  # private: only with this token
    gated: bool = False
    licence: str | None = None


def git_sha1(data: bytes) -> str:
    """The id of a file in git, which is the ETag of the Hub's small files."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class HubServer:
    """The Hub and its CDN, each on its own port of 127.0.0.1 until the ``with`` block ends."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.faults = Faults()
        self.log: list[Request] = []
        self.known_tokens: set[str] = set()
        self.lock = threading.Lock()
        self._servers = [_make_server(self, host) for host in ("hub", "cdn")]
        self._threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            for server in self._servers
        ]

    @property
    def url(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._servers[0].server_address[1]}"

    @property
    def cdn_url(self) -> str:
        """The host that large files come from."""
        return f"http://127.0.0.1:{self._servers[1].server_address[1]}"

    def __enter__(self) -> HubServer:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()
        for thread in self._threads:
            thread.join(timeout=5)

    def publish(self, name: str, files: Mapping[str, bytes], *, branch: str = "main") -> str:
        """Commit these files to the branch, and return the commit's hash."""
        repository = self.repositories.setdefault(name, Repository())
        text = json.dumps(
            [branch, len(repository.commits), sorted((k, git_sha1(v)) for k, v in files.items())]
        )
        commit = hashlib.sha1(text.encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.branches[branch] = commit
        return commit

    def requests(self, method: str | None = None) -> list[Request]:
        """The requests so far, without huggingface_hub's telemetry."""
        with self.lock:
            return [r for r in self.log if r.path != TELEMETRY and (method is None or r.method == method)]

    def forget(self) -> None:
        """Empty the log."""
        with self.lock:
            self.log.clear()


def _make_server(hub: HubServer, host: str) -> ThreadingHTTPServer:
    class Handler(_Handler):
        pass

    Handler.hub, Handler.host = hub, host
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    return server


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer
    host: str
    protocol_version = "HTTP/1.1"
    timeout = 10  # s, so that a silent client doesn't block a thread forever

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        with self.hub.lock:
            self.hub.log.append(
                Request(
                    host=self.host,
                    method=self.command,
                    path=path,
                    authorization=self.headers.get("authorization"),
                    range=self.headers.get("range"),
                )
            )
        faults = self.hub.faults
        if path == TELEMETRY:
            self._send(404, b"")
        elif faults.status is not None:
            self._send(faults.status, b'{"error": "as asked for"}')
        elif faults.garbage:
            self._send(200, b"<html>hello</html>")
        elif self.host == "cdn":
            self._serve_blob(path)
        elif path.startswith("/api/models/") and "/tree/" in path:
            self._serve_tree(path.removeprefix("/api/models/"))
        elif path.startswith("/api/models/"):
            self._serve_description(path.removeprefix("/api/models/"), parse_qs(parts.query))
        elif "/resolve/" in path:
            self._serve_file(path)
        else:
            self._refuse(404, "RepoNotFound")

    def _find(self, name: str) -> Repository | None:
        """The repository, or None if an error was sent."""
        repository = self.hub.repositories.get(name)
        sent = self.headers.get("authorization")
        token = None if sent is None else sent.removeprefix("Bearer ")
        if token is not None and token not in self.hub.known_tokens:
            self._refuse(401, None, "Invalid credentials in Authorization header")
        elif repository is None or (repository.token is not None and token != repository.token):
            self._refuse(401 if token is None else 404, "RepoNotFound", "Repository not found")
        elif repository.gated and token is None:
            self._refuse(401, "GatedRepo", "Access to this model is restricted")
        else:
            return repository
        return None

    def _find_commit(self, repository: Repository, revision: str) -> str | None:
        """The commit of a revision, or None if an error was sent."""
        commit = repository.branches.get(revision)
        if commit is None and revision in repository.commits:
            commit = revision
        if commit is None:
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
        return commit

    def _serve_description(self, rest: str, query: dict[str, list[str]]) -> None:
        name, _, revision = rest.partition("/revision/")
        repository = self._find(name)
        if repository is None or (commit := self._find_commit(repository, revision or "main")) is None:
            return
        siblings = [_describe(path, data) for path, data in repository.commits[commit].items()]
        if self.hub.faults.listed_name is not None:
            siblings.append({"rfilename": self.hub.faults.listed_name, "size": 1, "blobId": "0" * 40})
        if "true" not in [value.lower() for value in query.get("blobs", [])]:
            siblings = [{"rfilename": sibling["rfilename"]} for sibling in siblings]
        body = {
            "id": name,
            "sha": commit,
            "private": repository.token is not None,
            "gated": "auto" if repository.gated else False,
            "siblings": siblings,
            "cardData": {"license": repository.licence} if repository.licence else None,
        }
        if self.hub.faults.move_after_listing is not None:
            branch, target = self.hub.faults.move_after_listing
            repository.branches[branch] = target
        self._send(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def _serve_tree(self, rest: str) -> None:
        name, _, revision = rest.partition("/tree/")
        repository = self._find(name)
        if repository is None or (commit := self._find_commit(repository, revision)) is None:
            return
        entries = []
        for path, data in repository.commits[commit].items():
            entry = {"type": "file", "path": path, "size": len(data), "oid": git_sha1(data)}
            if path.endswith(LARGE):
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
            entries.append(entry)
        self._send(200, json.dumps(entries).encode(), {"Content-Type": "application/json"})

    def _serve_file(self, path: str) -> None:
        faults = self.hub.faults
        name, _, rest = path[1:].partition("/resolve/")
        revision, _, file = rest.partition("/")
        repository = self._find(name)
        if repository is None or (commit := self._find_commit(repository, revision)) is None:
            return
        data = repository.commits[commit].get(file)
        if data is None or file == faults.missing_file:
            self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
            return
        headers = {"X-Repo-Commit": faults.commit_header or commit}
        if faults.redirect_loop:
            self._send(302, b"", headers | {"Location": self.path})
        elif file.endswith(LARGE):
            digest = hashlib.sha256(data).hexdigest()
            headers |= {"X-Linked-Etag": f'"{faults.etag or digest}"', "X-Linked-Size": str(len(data))}
            if faults.xet_refresh is not None:
                headers |= {"X-Xet-Hash": "0" * 64, "X-Xet-Refresh-Route": faults.xet_refresh}
            headers |= {"ETag": '"of the redirect"', "Location": f"{self.hub.cdn_url}/{name}/{commit}/{file}"}
            self._send(302, b"", headers)
        elif faults.token_trap is not None and self.command == "GET":
            self._send(302, b"", {"Location": f"{faults.token_trap}/{name}/{commit}/{file}"})
        else:
            self._send_data(data, headers | {"ETag": f'"{faults.etag or git_sha1(data)}"'})

    def _serve_blob(self, path: str) -> None:
        org, name, commit, file = path[1:].split("/", 3)
        data = self.hub.repositories[f"{org}/{name}"].commits[commit][file]
        self._send_data(data, {"ETag": '"of the cdn"'})

    def _send_data(self, data: bytes, headers: dict[str, str]) -> None:
        faults, start = self.hub.faults, 0
        is_large = self.host == "cdn"
        if self.command == "GET" and is_large:
            with self.hub.lock:
                if faults.wrong_bytes > 0:
                    faults.wrong_bytes -= 1
                    data = bytes(byte ^ 0xFF for byte in data)
                is_cut = bool(faults.cut_after) and faults.cut_after[0] < len(data)
                cut = faults.cut_after.pop(0) if is_cut else None
            if faults.extra_bytes or faults.missing_bytes:
                body = data[: len(data) - faults.missing_bytes] + b"x" * faults.extra_bytes
                self._send_chunked(body, headers)
                return
        else:
            cut = None
        if (wanted := self.headers.get("range")) is not None:
            start = int(wanted.removeprefix("bytes=").split("-")[0])
            headers = headers | {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self._send(206 if start else 200, data[start:], headers, cut=cut)

    def _send_chunked(self, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(200)
        for key, value in (headers | {"Transfer-Encoding": "chunked"}).items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))

    def _refuse(
        self, status: int, code: str | None, message: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        extra = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | dict(headers or {})
        self._send(status, json.dumps({"error": message}).encode(), extra)

    def _send(
        self, status: int, body: bytes, headers: Mapping[str, str] | None = None, *, cut: int | None = None
    ) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


def _describe(path: str, data: bytes) -> dict[str, object]:
    described: dict[str, object] = {"rfilename": path, "size": len(data), "blobId": git_sha1(data)}
    if path.endswith(LARGE):
        digest = hashlib.sha256(data).hexdigest()
        described["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 134}
    return described
