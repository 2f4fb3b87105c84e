"""What the Hub stated of a model's files at one commit, and which of them were checked against it.

A commit never changes, so its list of files is kept beside the cached files, in ``.pictag`` in the model's
own folder of the cache, and goes away with it. A pinned commit then starts without a request, and a file that
has been checked is not read through again for as long as its size and time of change stay the same.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pictag.models.digest import is_digest
from pictag.models.weights import is_inside

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What the Hub states of one file: its size in bytes and its digest, ``None`` where it does not say."""

    size: int | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """One commit's files as stated, the licence on the model's page, and the files that were checked."""

    commit: str
    files: Mapping[str, Stated]
    licence: str | None = None
    # path → [digest, size, time of change in ns] of the file that was checked
    checked: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)

    def is_checked(self, path: str, file: Path, digest: str) -> bool:
        """Whether this very file was found to have this digest."""
        state = file.stat()
        return self.checked.get(path) == (digest, state.st_size, state.st_mtime_ns)

    def with_checked(self, path: str, file: Path, digest: str) -> Ledger:
        """The same, with a file found to have its digest."""
        state = file.stat()
        return replace(self, checked={**self.checked, path: (digest, state.st_size, state.st_mtime_ns)})


def ledger_folder(repository: Path) -> Path:
    """Where ledgers lie, in a model's folder of the cache."""
    return repository / ".pictag"


def read_ledger(repository: Path, commit: str) -> Ledger | None:
    """The ledger of one commit, or ``None`` where there is none or it makes no sense."""
    try:
        data = json.loads((ledger_folder(repository) / f"{commit}.json").read_text(encoding="utf-8"))
        return _decode(data, commit)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_ledger(repository: Path, ledger: Ledger) -> None:
    """Keep the ledger. A cache that cannot be written to keeps none, and files are checked at each start."""
    folder = ledger_folder(repository)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(_encode(ledger), file, indent=1)
            Path(temporary).replace(folder / f"{ledger.commit}.json")
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _encode(ledger: Ledger) -> dict[str, Any]:
    return {
        "version": _VERSION,
        "commit": ledger.commit,
        "licence": ledger.licence,
        "files": {path: {"size": f.size, "digest": f.digest} for path, f in sorted(ledger.files.items())},
        "checked": {path: list(state) for path, state in sorted(ledger.checked.items())},
    }


def _decode(data: Any, commit: str) -> Ledger:
    if data["version"] != _VERSION or data["commit"] != commit:
        raise ValueError("another version or commit")
    files = {}
    for path, stated in data["files"].items():
        size, digest = stated["size"], stated["digest"]
        if not is_inside(path) or not (digest is None or is_digest(digest)):
            raise ValueError(path)
        files[path] = Stated(size=None if size is None else int(size), digest=digest)
    checked = {path: (str(s[0]), int(s[1]), int(s[2])) for path, s in data["checked"].items()}
    licence = data["licence"]
    return Ledger(
        commit=commit, files=files, licence=None if licence is None else str(licence), checked=checked
    )
