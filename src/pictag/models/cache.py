"""The models in the Hub's cache: which there are, whether they are intact, and how to remove them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from huggingface_hub import CacheNotFound, HFCacheInfo, scan_cache_dir

from pictag.errors import ModelNotFound, OptionError, shorten
from pictag.models.digest import is_digest, measure_digest
from pictag.models.files import CONFIG, read_optional_json
from pictag.models.folder import embedded_folder, list_model_files
from pictag.models.hub import blob_digest, find_cached_ledger, read_cached_commit
from pictag.models.hub_client import cache_folder, repository_folder
from pictag.models.ledger import write_ledger
from pictag.models.reference import EMBEDDED, MAIN, ModelRef

State = Literal["ok", "wrong", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedModel:
    """One commit of a cached model that pictag can use; ``last_used`` is in seconds since 1970."""

    name: str
    commit: str
    branches: tuple[str, ...]
    weights: tuple[str, ...]
    size_bytes: int
    last_used: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """Whether a file has the digest that was stated of it: ``unknown`` where nobody stated one."""

    path: str
    state: State
    size_bytes: int
    stated: str | None
    measured: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What would go from the cache."""

    commits: tuple[str, ...]
    freed_bytes: int


def list_cached(cache_dir: Path | None = None) -> tuple[CachedModel, ...]:
    """The models in the cache that have a ``config.json`` and ``.onnx`` weights, by name."""
    info = _scan(cache_dir)
    found = []
    for repository in info.repos if info else ():
        if repository.repo_type != "model":
            continue
        for revision in repository.revisions:
            names = sorted(f.file_path.relative_to(revision.snapshot_path).as_posix() for f in revision.files)
            weights = tuple(name for name in names if name.lower().endswith(".onnx"))
            if not weights or CONFIG not in names:
                continue
            found.append(
                CachedModel(
                    name=repository.repo_id,
                    commit=revision.commit_hash,
                    branches=tuple(sorted(revision.refs)),
                    weights=weights,
                    size_bytes=revision.size_on_disk,
                    last_used=max(file.blob_last_accessed for file in revision.files),
                )
            )
    return tuple(sorted(found, key=lambda model: (model.name, model.commit)))


def plan_removal(ref: ModelRef, cache_dir: Path | None = None) -> Removal:
    """What removing a model, or one revision of it, would free. Raises `ModelNotFound` and `OptionError`."""
    info, commits = _find_commits(ref, cache_dir)
    return Removal(commits=commits, freed_bytes=info.delete_revisions(*commits).expected_freed_size)


def remove_cached(ref: ModelRef, cache_dir: Path | None = None) -> Removal:
    """Remove a model, or one revision of it, from the Hub's cache. As `plan_removal`."""
    info, commits = _find_commits(ref, cache_dir)
    strategy = info.delete_revisions(*commits)
    freed_bytes = strategy.expected_freed_size
    strategy.execute()
    return Removal(commits=commits, freed_bytes=freed_bytes)


def verify_files(ref: ModelRef, cache_dir: Path | None = None) -> tuple[FileCheck, ...]:
    """Read all files of a model through and compare them with what was stated of them.

    For a model of the Hub that is what the Hub stated when it was fetched; for a folder what its
    ``card.json`` states, if it has one. A file of the cache that turns out wrong is checked again, and set
    aside, at the next start.
    """
    if ref.kind == "hub":
        return _verify_cached(ref, cache_dir)
    folder = embedded_folder() if ref.kind == EMBEDDED else ref.path
    assert folder is not None
    if ref.kind == "file":
        return (_check(folder.name, folder, None),)
    stated = _stated_by_card(folder)
    return tuple(_check(name, folder / name, stated.get(name)) for name in list_model_files(folder))


def _verify_cached(ref: ModelRef, cache_dir: Path | None) -> tuple[FileCheck, ...]:
    repository = repository_folder(ref.name, cache_dir)
    commit = read_cached_commit(repository, ref.revision or MAIN)
    ledger = None if commit is None else find_cached_ledger(repository, commit)
    if ledger is None:
        raise _not_cached(ref, cache_dir)
    snapshot = repository / "snapshots" / ledger.commit
    checks = []
    for name, stated in ledger.files.items():
        file = snapshot / name
        if file.is_file():
            checks.append(_check(name, file, stated.digest or blob_digest(file)))
    if not checks:
        raise _not_cached(ref, cache_dir)
    wrong = {check.path for check in checks if check.state == "wrong"}
    if wrong & set(ledger.checked):
        kept = {path: state for path, state in ledger.checked.items() if path not in wrong}
        write_ledger(repository, replace(ledger, checked=kept))
    return tuple(checks)


def _check(name: str, file: Path, stated: str | None) -> FileCheck:
    measured = measure_digest(file, like=stated or "0" * 64)
    state: State = "unknown" if stated is None else "ok" if measured == stated else "wrong"
    return FileCheck(path=name, state=state, size_bytes=file.stat().st_size, stated=stated, measured=measured)


def _stated_by_card(folder: Path) -> dict[str, str]:
    card = read_optional_json(folder / "card.json") or {}
    files: Any = card.get("files")
    if not isinstance(files, Mapping):
        return {}
    digests = ((name, fact.get("sha256")) for name, fact in files.items() if isinstance(fact, Mapping))
    return {name: digest for name, digest in digests if isinstance(digest, str) and is_digest(digest)}


def _scan(cache_dir: Path | None) -> HFCacheInfo | None:
    try:
        return scan_cache_dir(cache_folder(cache_dir))
    except (CacheNotFound, ValueError):  # no cache yet, or a file in its place
        return None


def _find_commits(ref: ModelRef, cache_dir: Path | None) -> tuple[HFCacheInfo, tuple[str, ...]]:
    if ref.kind != "hub":
        raise OptionError(f"{shorten(ref.name)!r} is not in the Hub's cache, so it cannot be removed.")
    info = _scan(cache_dir)
    for repository in info.repos if info else ():
        if repository.repo_type == "model" and repository.repo_id == ref.name:
            commits = tuple(
                sorted(
                    revision.commit_hash
                    for revision in repository.revisions
                    if ref.revision is None
                    or ref.revision == revision.commit_hash
                    or ref.revision in revision.refs
                )
            )
            if commits and info is not None:
                return info, commits
    raise _not_cached(ref, cache_dir)


def _not_cached(ref: ModelRef, cache_dir: Path | None) -> ModelNotFound:
    return ModelNotFound(
        f"{ref} is not in the cache {shorten(cache_folder(cache_dir))}. See 'pictag models list'."
    )
