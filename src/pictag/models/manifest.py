"""The list of a commit's files, with their sizes and checksums.

A commit never changes, so the Hub's list is kept in the model's folder of the cache. A pinned commit then
needs no request, and the same weights are chosen with and without a network.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pictag.models.checksums import STATE_FOLDER, is_sha256

_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChecksum:
    """A file's size in bytes and its sha256, each ``None`` if unknown. Only large files have a sha256."""

    size: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One commit's files by path, and the licence on the model's page.

    ``is_complete`` is false if only the files that another program put into the cache are known.
    """

    commit: str
    files: Mapping[str, FileChecksum]
    licence: str | None = None
    is_complete: bool = True


def is_commit(text: object) -> bool:
    """Whether a value is a full commit hash."""
    return isinstance(text, str) and _COMMIT.fullmatch(text) is not None


def read_cached_commit(repository: Path, revision: str) -> str | None:
    """The commit that a revision pointed to when it was last fetched, or ``None``."""
    if is_commit(revision):
        return revision
    with contextlib.suppress(OSError, ValueError):
        commit = (repository / "refs" / revision).read_text(encoding="ascii").strip()
        return commit if is_commit(commit) else None
    return None


def read_cached_manifest(repository: Path, revision: str) -> Manifest | None:
    """The manifest of a cached revision, or ``None`` if none of its files are in the cache."""
    commit = read_cached_commit(repository, revision)
    if commit is None:
        return None
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        data = json.loads(_path(repository, commit).read_text(encoding="utf-8"))
        files = {path: FileChecksum(**facts) for path, facts in data["files"].items()}
        return Manifest(commit=commit, files=files, licence=data["licence"])
    return _list_snapshot(repository, commit)


def save_manifest(repository: Path, manifest: Manifest, revision: str) -> None:
    """Keep a complete manifest, and what the revision points to. A read-only cache is left as it is."""
    if not manifest.is_complete:
        return
    with contextlib.suppress(OSError):
        path = _path(repository, manifest.commit)
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(dataclasses.asdict(manifest), indent=1), encoding="utf-8")
        if read_cached_commit(repository, revision) != manifest.commit:
            ref = repository / "refs" / revision
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(manifest.commit, encoding="ascii")


def _list_snapshot(repository: Path, commit: str) -> Manifest | None:
    """The files that another program fetched; the cache names a large file's blob after its sha256."""
    snapshot = repository / "snapshots" / commit
    files = {}
    for path in sorted(snapshot.rglob("*")):
        if path.is_file():
            blob = path.resolve().name
            files[path.relative_to(snapshot).as_posix()] = FileChecksum(
                size=path.stat().st_size, sha256=blob if is_sha256(blob) else None
            )
    return Manifest(commit=commit, files=files, is_complete=False) if files else None


def _path(repository: Path, commit: str) -> Path:
    return repository / STATE_FOLDER / f"{commit}.json"
