"""The models in the Hub's cache and the converted ones: list, verify and remove them."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import CachedRepoInfo, CacheNotFound, HFCacheInfo, scan_cache_dir

from pictag.errors import ModelNotFound, ModelUnavailable, OptionError, OutputError, shorten
from pictag.models.checksums import delete_cached_file, measure_sha256, read_card_checksums
from pictag.models.efficientnet_lite import converted_folder, find_package, list_checksums
from pictag.models.files import CARD, CONFIG, read_optional_json
from pictag.models.folder import TAGS, embedded_folder, list_model_files
from pictag.models.hub_client import cache_folder, repository_folder, verify_checksums
from pictag.models.manifest import read_cached_commit
from pictag.models.reference import BUILT_IN, EMBEDDED, MAIN, ModelRef

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
    """Whether a file has the expected checksum; ``unknown`` if none is known for it.

    ``actual`` is ``None`` for a file that is missing or can't be read.

    For a Hub model the checksums are only given for wrong files: sha256 for large, git's sha1 for small ones.
    """

    path: str
    state: State
    size_bytes: int
    expected: str | None = None
    actual: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The commits to remove from the cache (none for a built-in model), and the space that this frees."""

    commits: tuple[str, ...]
    freed_bytes: int


def list_cached(cache_dir: Path | None = None) -> tuple[CachedModel, ...]:
    """The models in the cache that have ``.onnx`` weights and files that describe them, by name."""
    found = []
    for repository in _list_repositories(_scan(cache_dir)):
        for revision in repository.revisions:
            names = sorted(f.file_path.relative_to(revision.snapshot_path).as_posix() for f in revision.files)
            weights = tuple(name for name in names if name.lower().endswith(".onnx"))
            if weights and (CONFIG in names or TAGS in names):
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


def list_built_in(cache_dir: Path | None = None) -> Iterator[tuple[str, int | None]]:
    """The built-in models that are installed, with their size; ``None`` if not converted yet."""
    for name in BUILT_IN:
        folder = embedded_folder() if name == EMBEDDED else converted_folder(name, cache_dir)
        if folder is not None and (folder / CONFIG).is_file():
            yield name, _measure_folder(folder)
        elif name != EMBEDDED and find_package(name) is not None:
            yield name, None


def _measure_folder(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def verify_files(ref: ModelRef, cache_dir: Path | None = None) -> tuple[FileCheck, ...]:
    """Hash all files of a model and compare them with their checksums.

    The checksums of a Hub model come from the Hub, so this needs a network; a wrong file is deleted from the
    cache, and the next load fetches it again. Those of a converted model are known; a wrong file is deleted
    too. Those of a folder come from its ``card.json``, if it has one.
    """
    if ref.kind == "hub":
        return _verify_cached(ref, cache_dir)
    if ref.kind == "file":
        assert ref.path is not None
        return (_verify(ref.path.name, ref.path, None),)
    if _is_converted(ref):
        return _verify_converted(ref, cache_dir)
    folder = embedded_folder() if ref.kind == "built-in" else ref.path
    assert folder is not None
    known = read_card_checksums(read_optional_json(folder / CARD) or {})
    return tuple(_verify(name, folder / name, known.get(name)) for name in list_model_files(folder))


def _is_converted(ref: ModelRef) -> bool:
    return ref.kind == "built-in" and ref.name != EMBEDDED


def _find_converted(ref: ModelRef, cache_dir: Path | None) -> Path:
    folder = converted_folder(ref.name, cache_dir)
    if folder is None or not folder.is_dir():
        raise ModelNotFound(f"{ref} is not in pictag's cache. 'pictag models download {ref}' puts it there.")
    return folder


def _verify_converted(ref: ModelRef, cache_dir: Path | None) -> tuple[FileCheck, ...]:
    folder = _find_converted(ref, cache_dir)
    checks = []
    for name, expected in list_checksums(ref.name).items():
        try:
            checks.append(_verify(name, folder / name, expected))
        except OSError:
            checks.append(FileCheck(path=name, state="wrong", size_bytes=0, expected=expected))
        if checks[-1].state == "wrong":
            with contextlib.suppress(OSError):
                (folder / name).unlink()
    return tuple(checks)


def _verify_cached(ref: ModelRef, cache_dir: Path | None) -> tuple[FileCheck, ...]:
    repository = repository_folder(ref.name, cache_dir)
    commit = read_cached_commit(repository, ref.revision or MAIN)
    snapshot = repository / "snapshots" / (commit or "none")
    if commit is None or not snapshot.is_dir():
        raise _not_cached(ref, cache_dir)
    try:
        result = verify_checksums(ref.name, commit, cache_dir)
    except ModelUnavailable as error:
        raise ModelUnavailable(f"Verification needs the Hub's checksums. {error}") from error
    mismatches = {mismatch["path"]: mismatch for mismatch in result.mismatches}
    checks = []
    for file in sorted(path for path in snapshot.rglob("*") if path.is_file()):
        name, size = file.relative_to(snapshot).as_posix(), file.stat().st_size
        if (wrong := mismatches.get(name)) is not None:
            delete_cached_file(file)
            expected, actual = wrong["expected"], wrong["actual"]
            check = FileCheck(path=name, state="wrong", size_bytes=size, expected=expected, actual=actual)
        else:
            check = FileCheck(
                path=name, state="unknown" if name in result.extra_paths else "ok", size_bytes=size
            )
        checks.append(check)
    return tuple(checks)


def _verify(name: str, file: Path, expected: str | None) -> FileCheck:
    actual = measure_sha256(file)
    state: State = "unknown" if expected is None else "ok" if actual == expected else "wrong"
    return FileCheck(path=name, state=state, size_bytes=file.stat().st_size, expected=expected, actual=actual)


def _scan(cache_dir: Path | None) -> HFCacheInfo | None:
    try:
        return scan_cache_dir(cache_folder(cache_dir))
    except (CacheNotFound, ValueError, ModelUnavailable):  # no cache yet, a file in its place, no home folder
        return None


def _list_repositories(info: HFCacheInfo | None) -> list[CachedRepoInfo]:
    return [repository for repository in info.repos if repository.repo_type == "model"] if info else []


def remove_cached(ref: ModelRef, cache_dir: Path | None = None, *, dry_run: bool = False) -> Removal:
    """Remove a model, or one revision of it, from the cache; ``dry_run`` only says what that frees.

    Raises `ModelNotFound`, `OptionError` or `OutputError`.
    """
    if _is_converted(ref):
        return _remove_converted(ref, cache_dir, dry_run=dry_run)
    if ref.kind != "hub":
        raise OptionError(f"{shorten(ref.name)!r} is not in the cache, so it cannot be removed.")
    info = _scan(cache_dir)
    commits = tuple(
        sorted(
            revision.commit_hash
            for repository in _list_repositories(info)
            if repository.repo_id == ref.name
            for revision in repository.revisions
            if ref.revision in (None, revision.commit_hash, *revision.refs)
        )
    )
    if info is None or not commits:
        raise _not_cached(ref, cache_dir)
    strategy = info.delete_revisions(*commits)
    if not dry_run:
        strategy.execute()
    return Removal(commits=commits, freed_bytes=strategy.expected_freed_size)


def _remove_converted(ref: ModelRef, cache_dir: Path | None, *, dry_run: bool) -> Removal:
    folder = _find_converted(ref, cache_dir)
    try:
        size = _measure_folder(folder)
        if not dry_run:
            shutil.rmtree(folder)
    except OSError as error:
        raise OutputError(f"{shorten(folder)} could not be removed: {error.strerror}.") from error
    return Removal(commits=(), freed_bytes=size)


def _not_cached(ref: ModelRef, cache_dir: Path | None) -> ModelNotFound:
    return ModelNotFound(
        f"{ref} is not in the cache {shorten(cache_folder(cache_dir))}. See 'pictag models list'."
    )
