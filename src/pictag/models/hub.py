"""Models on the Hub: from a name to checked files in the ordinary cache of ``huggingface_hub``.

A branch is turned into a commit once, and everything is fetched at that commit, so that a revision that moves
in the middle cannot mix files. One request tells the commit and the list of files; a pinned commit that is
cached needs none. What has arrived is checked against the digest that the Hub states before anything opens
it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # exported, not listed

from pictag.errors import CorruptModel, ModelFileMissing, ModelUnavailable, shorten
from pictag.models.digest import is_digest, measure_digest
from pictag.models.external_data import check_external_data, resolve_in_model
from pictag.models.files import CONFIG, PREPROCESSOR, PROCESSOR, FileFact, ModelFiles, read_licence
from pictag.models.graph_file import read_graph_file
from pictag.models.hub_client import ask_hub, download_file, is_offline, repository_folder
from pictag.models.hub_errors import endpoint
from pictag.models.hub_guard import is_commit
from pictag.models.ledger import Ledger, Stated, ledger_folder, read_ledger, write_ledger
from pictag.models.options import LoadOptions, OnProgress
from pictag.models.reference import MAIN, ModelRef
from pictag.models.weights import choose_weights, is_inside

_WANTED = f"{CONFIG}, {PREPROCESSOR} and onnx/model*.onnx"


def fetch_model(ref: ModelRef, options: LoadOptions, on_progress: OnProgress | None = None) -> ModelFiles:
    """Find a model of the Hub in the cache, fetch what is missing, check it, and choose its weights.

    Raises `ModelNotFound`, `ModelUnavailable`, `ModelAccessDenied`, `ModelFileMissing`, `CorruptModel` or
    `InvalidModel`.
    """
    repository = repository_folder(ref.name, options.cache_dir)
    state = _find_state(ref, options, repository)
    available = state.ledger.files
    choice = choose_weights(
        available,
        model=ref.name,
        dtype=options.dtype,
        model_file=options.model_file,
        device=options.device,
        engine=options.engine,
    )
    if CONFIG not in available:
        raise ModelFileMissing(f"{ref} has no {CONFIG}, which says what its labels are.")
    wanted = [name for name in (CONFIG, PREPROCESSOR, PROCESSOR) if name in available] + [choice.path]
    visit = _Visit(ref=ref, options=options, repository=repository, state=state, on_progress=on_progress)
    visit.obtain(wanted)
    weights = visit.folder / choice.path
    external = read_graph_file(weights).external
    beside = list(resolve_in_model(choice.path, external))
    if lacking := [name for name in beside if name not in available]:
        raise ModelFileMissing(
            f"{choice.path} of {ref} keeps weights in {shorten(', '.join(lacking))}, which the model does "
            "not have."
        )
    visit.obtain(beside)
    check_external_data(weights, external)
    if not state.is_from_cache:
        visit.keep_ledger()
        _write_ref(repository, ref.revision or MAIN, state.ledger.commit)
    facts = [(name, available[name]) for name in wanted + beside]
    return ModelFiles(
        folder=visit.folder,
        choice=choice,
        files=tuple(FileFact(path=name, size=stated.size, digest=stated.digest) for name, stated in facts),
        revision=state.ledger.commit,
        licence=state.ledger.licence or read_licence(visit.folder / "README.md"),
        notes=state.notes,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    ledger: Ledger
    is_from_cache: bool
    notes: tuple[str, ...] = ()


def _find_state(ref: ModelRef, options: LoadOptions, repository: Path) -> _State:
    """Which commit is meant, and what files it has: from the cache where that is sure, else the Hub."""
    revision = ref.revision or MAIN
    if is_offline(options):
        return _State(ledger=_cached_ledger(ref, repository), is_from_cache=True)
    if ref.is_pinned and (known := read_ledger(repository, revision)) is not None:
        return _State(ledger=known, is_from_cache=True)
    try:
        fresh = ask_hub(ref.name, revision, options)
    except ModelUnavailable as error:
        # The Hub cannot be reached: what the branch meant last time is the best that is known.
        try:
            ledger = _cached_ledger(ref, repository)
        except ModelUnavailable:
            raise ModelUnavailable(f"{error} Wanted were {_WANTED}.") from error.__cause__
        note = f"{endpoint()} could not be reached; the cached revision was taken"
        return _State(ledger=ledger, is_from_cache=True, notes=(note,))
    known = read_ledger(repository, fresh.commit)
    if known is not None and known.files == fresh.files:
        fresh = replace(fresh, checked=known.checked)
    return _State(ledger=fresh, is_from_cache=False)


def _cached_ledger(ref: ModelRef, repository: Path) -> Ledger:
    revision = ref.revision or MAIN
    commit = read_cached_commit(repository, revision)
    ledger = None if commit is None else find_cached_ledger(repository, commit)
    if ledger is None:
        raise ModelUnavailable(_unavailable(ref, _WANTED))
    return ledger


def read_cached_commit(repository: Path, revision: str) -> str | None:
    """The commit that a revision meant when it was last fetched, or ``None``."""
    if is_commit(revision):
        return revision
    try:
        commit = (repository / "refs" / revision).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    return commit if is_commit(commit) else None


def find_cached_ledger(repository: Path, commit: str) -> Ledger | None:
    """The ledger of a commit, or one made of the files in the cache where another program fetched them.

    The cache names a blob after the digest that the Hub stated, so such files can be checked too.
    """
    if (known := read_ledger(repository, commit)) is not None:
        return known
    snapshot = repository / "snapshots" / commit
    files = {}
    for path in sorted(snapshot.rglob("*")):
        name = path.relative_to(snapshot).as_posix()
        if path.is_file() and is_inside(name):
            files[name] = Stated(size=path.stat().st_size, digest=blob_digest(path))
    return Ledger(commit=commit, files=files) if files else None


def blob_digest(file: Path) -> str | None:
    """The digest that a cached file's blob is named after, or ``None`` where the cache has no links."""
    blob = file.readlink().name if file.is_symlink() else None
    return blob if is_digest(blob) else None


def _unavailable(ref: ModelRef, files: str) -> str:
    return (
        f"{ref} is not in the cache, and requests are switched off (wanted: {shorten(files, 300)} from "
        f"{endpoint()}/{ref.name}). Fetch it once with a network: 'pictag models download {ref}'. "
        "model='embedded' works without a network."
    )


@dataclass(slots=True, kw_only=True)
class _Visit:
    """One fetch of one model's files: what has been asked for, and what has been checked so far."""

    ref: ModelRef
    options: LoadOptions
    repository: Path
    state: _State
    on_progress: OnProgress | None

    @property
    def folder(self) -> Path:
        return self.repository / "snapshots" / self.state.ledger.commit

    def obtain(self, names: list[str]) -> None:
        """Have these files in the cache, checked. Says all that are missing at once when offline."""
        if is_offline(self.options) and (missing := [n for n in names if not (self.folder / n).is_file()]):
            raise ModelUnavailable(self._missing(missing))
        for name in names:
            if not (self.folder / name).is_file():
                self._download(name)
            if self._is_right(name):
                continue
            if is_offline(self.options):
                raise CorruptModel(self._corrupt(name, "Fetch it anew with a network"))
            self._download(name)
            if not self._is_right(name):
                raise CorruptModel(
                    self._corrupt(name, f"It was fetched twice; tell the owner of {endpoint()}")
                )

    def _download(self, name: str) -> None:
        download_file(self.ref.name, self.state.ledger, name, self.options, self.on_progress)

    def keep_ledger(self) -> None:
        """Keep what the Hub stated, so that this commit needs no request the next time."""
        if read_ledger(self.repository, self.state.ledger.commit) is None:
            write_ledger(self.repository, self.state.ledger)

    def _missing(self, missing: list[str]) -> str:
        text = _unavailable(self.ref, ", ".join(missing))
        cached = [n for n in self.state.ledger.files if n.endswith(".onnx") and (self.folder / n).is_file()]
        if cached and not any(name in cached for name in missing):
            text += f" In the cache are the weights {', '.join(cached)}; model_file= takes one of them."
        return text

    def _corrupt(self, name: str, advice: str) -> str:
        return (
            f"{name} of {self.ref} does not have the bytes that {endpoint()} stated. It was set aside in "
            f"{set_aside_folder(self.repository)}. {advice}."
        )

    def _is_right(self, name: str) -> bool:
        """Whether a file has its stated digest; one that has not is set aside. Hashes it once."""
        file = self.folder / name
        digest = self.state.ledger.files[name].digest or blob_digest(file)
        if digest is None or self.state.ledger.is_checked(name, file, digest):
            return True
        with _lock(self.repository):
            # Another process may have checked it while this one waited.
            known = read_ledger(self.repository, self.state.ledger.commit)
            if known is not None and known.files == self.state.ledger.files:
                self.state = replace(self.state, ledger=known)
            if file.is_file() and self.state.ledger.is_checked(name, file, digest):
                return True
            if not file.is_file() or measure_digest(file, like=digest) != digest:
                set_aside(self.repository, file)
                return False
            ledger = self.state.ledger.with_checked(name, file, digest)
            write_ledger(self.repository, ledger)
            self.state = replace(self.state, ledger=ledger)
            return True


def set_aside_folder(repository: Path) -> Path:
    """Where wrong files go: out of the cache proper, but not lost."""
    return ledger_folder(repository) / "set-aside"


def set_aside(repository: Path, file: Path) -> None:
    """Take a wrong file out of the cache: its blob is moved away and the link to it removed."""
    with contextlib.suppress(OSError):  # already gone, or a cache that cannot be written to
        blob = file.parent / file.readlink() if file.is_symlink() else file
        folder = set_aside_folder(repository)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            blob.replace(folder / f"{blob.name[:64]}-{file.name}")
        finally:
            if file.is_symlink():
                file.unlink(missing_ok=True)


@contextlib.contextmanager
def _lock(repository: Path) -> Iterator[None]:
    """One process at a time checks files of a model. A cache that cannot be written to goes without."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            ledger_folder(repository).mkdir(parents=True, exist_ok=True)
            stack.enter_context(WeakFileLock(ledger_folder(repository) / "check.lock"))
        yield


def _write_ref(repository: Path, revision: str, commit: str) -> None:
    """Remember what a branch meant, as ``huggingface_hub`` does, once all its files are here."""
    if revision == commit:
        return
    with contextlib.suppress(OSError):
        path = repository / "refs" / revision
        if path.is_file() and path.read_text(encoding="ascii") == commit:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        temporary.write_text(commit, encoding="ascii")
        temporary.replace(path)
