"""Models on the Hub: from a name to checked files in the ordinary cache of ``huggingface_hub``.

A branch is resolved to a commit once, and all files are fetched at that commit, so that a branch that moves
in between can't mix files. One request gives the commit and the list of its files; a pinned commit that is
cached needs none. The sha256 of weights is checked before anything opens them (see `checksums`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pictag.errors import CorruptModel, ModelError, ModelFileMissing, ModelUnavailable, shorten
from pictag.models.checksums import is_intact
from pictag.models.external_data import check_external_data, resolve_in_model
from pictag.models.files import CONFIG, PREPROCESSOR, PROCESSOR, FileFact, ModelFiles, read_json, read_licence
from pictag.models.folder import TAGS
from pictag.models.graph_file import read_graph_file
from pictag.models.hub_client import download_file, fetch_manifest, is_offline, repository_folder
from pictag.models.hub_errors import endpoint
from pictag.models.manifest import Manifest, read_cached_manifest, save_manifest
from pictag.models.options import LoadOptions, OnProgress
from pictag.models.reference import MAIN, NO_NETWORK_NEEDED, ModelRef
from pictag.models.weights import AUTO, SUFFIXES, choose_weights
from pictag.preprocess.timm import timm_settings

_NEEDED = f"{CONFIG}, {PREPROCESSOR} and onnx/model*.onnx"


def fetch_model(ref: ModelRef, options: LoadOptions, on_progress: OnProgress | None = None) -> ModelFiles:
    """Find a Hub model in the cache, choose its weights, and fetch and check the files that are missing.

    Raises `ModelNotFound`, `ModelUnavailable`, `ModelAccessDenied`, `ModelFileMissing`, `CorruptModel` or
    `InvalidModel`.
    """
    repository = repository_folder(ref.name, options.cache_dir)
    manifest, notes = _find_manifest(ref, options, repository)
    available = manifest.files
    download = _Download(
        ref=ref, options=options, repository=repository, manifest=manifest, on_progress=on_progress
    )
    try:
        choice = choose_weights(
            available,
            model=ref.name,
            dtype=options.dtype,
            model_file=options.model_file,
            device=options.device,
            engine=options.engine,
        )
    except ModelFileMissing as error:
        raise download.lack([_name_weights(options)], str(error)) from None
    if CONFIG not in available and TAGS not in available:
        raise download.lack([CONFIG], f"{ref} has no {CONFIG}, which names its labels.")
    names = [name for name in (CONFIG, PREPROCESSOR, PROCESSOR, TAGS) if name in available] + [choice.path]
    download.ensure(names)
    if not manifest.is_complete and not _is_described(download.folder):
        raise download.lack([PREPROCESSOR], "")
    weights = download.folder / choice.path
    graph = read_graph_file(weights)
    beside = list(resolve_in_model(choice.path, graph.external))
    if missing := [name for name in beside if name not in available]:
        text = f"{choice.path} of {ref} stores weights in {shorten(', '.join(missing))}"
        raise download.lack(missing, f"{text}, but the model doesn't have that file.")
    download.ensure(beside)
    check_external_data(weights, graph.external)
    save_manifest(repository, manifest, ref.revision or MAIN)
    return ModelFiles(
        folder=download.folder,
        choice=choice,
        graph=graph,
        files=tuple(
            FileFact(path=name, size=available[name].size, sha256=available[name].sha256)
            for name in names + beside
        ),
        revision=manifest.commit,
        licence=manifest.licence or read_licence(download.folder / "README.md"),
        notes=notes,
    )


def _find_manifest(ref: ModelRef, options: LoadOptions, repository: Path) -> tuple[Manifest, tuple[str, ...]]:
    """The commit and its files, from the cache if they can't have changed, else from the Hub; and notes."""
    revision = ref.revision or MAIN
    cached = read_cached_manifest(repository, revision)
    if is_offline(options):
        if cached is None:
            raise ModelUnavailable(f"{ref} is not in the cache, and {_advise(ref, options, _NEEDED)}")
        return cached, ()
    if ref.is_pinned and cached is not None and cached.is_complete:
        return cached, ()
    try:
        return fetch_manifest(ref.name, revision, options), ()
    except ModelUnavailable as error:
        if cached is None:
            raise ModelUnavailable(f"{error} The files needed are {_NEEDED}.") from error.__cause__
        return cached, (f"{endpoint()} could not be reached; the cached revision is used",)


def _advise(ref: ModelRef, options: LoadOptions, files: str) -> str:
    """Why files can't be downloaded now, which they are, and how to get them."""
    reason = f"{endpoint()} can't be reached"
    if is_offline(options):
        reason = "downloads are turned off (by --offline, local_files_only or HF_HUB_OFFLINE)"
    return (
        f"{reason}. Missing: {shorten(files, 300)} from {endpoint()}/{ref.name}. Download the model once "
        f"while online: 'pictag models download {ref}'. {NO_NETWORK_NEEDED}"
    )


def _name_weights(options: LoadOptions) -> str:
    """The weights that ``options`` ask for, as a pattern."""
    if options.model_file is not None:
        return options.model_file
    return "onnx/model*.onnx" if options.dtype == AUTO else f"onnx/model{SUFFIXES[options.dtype]}.onnx"


def _is_described(folder: Path) -> bool:
    """Whether the files in the cache describe the model's preprocessing."""
    if any((folder / name).is_file() for name in (PREPROCESSOR, PROCESSOR, TAGS)):
        return True
    return timm_settings(read_json(folder / CONFIG), CONFIG) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Download:
    """The files of one commit, as they are fetched into the cache."""

    ref: ModelRef
    options: LoadOptions
    repository: Path
    manifest: Manifest
    on_progress: OnProgress | None

    @property
    def folder(self) -> Path:
        return self.repository / "snapshots" / self.manifest.commit

    def ensure(self, names: list[str]) -> None:
        """Fetch the files that are missing and check all of them; a wrong one is fetched once more."""
        is_cached_only = is_offline(self.options)
        missing = [name for name in names if not (self.folder / name).is_file()]
        if missing and is_cached_only:
            raise ModelUnavailable(self._describe_missing(missing))
        for name in names:
            if name in missing:
                self._fetch(name)
            is_right = self._is_intact(name)
            if not is_right and not is_cached_only:
                self._fetch(name)
                is_right = self._is_intact(name)
            if not is_right:
                advice = "Download it again while online" if is_cached_only else "It was downloaded twice"
                raise CorruptModel(
                    f"The sha256 of {name} of {self.ref} differs from the one that {endpoint()} states, so "
                    f"the file was deleted. {advice}."
                )

    def _fetch(self, name: str) -> None:
        path = download_file(self.ref.name, self.manifest, name, self.options, self.on_progress)
        if path != self.folder / name:
            raise CorruptModel(
                f"{endpoint()} sent {name} of another commit of {self.ref} than the one requested."
            )

    def _is_intact(self, name: str) -> bool:
        sha256 = self.manifest.files[name].sha256
        return sha256 is None or is_intact(self.repository, self.folder / name, sha256)

    def lack(self, missing: list[str], text: str) -> ModelError:
        """The error for files that the model doesn't have, as ``text`` says, or perhaps only the cache."""
        if self.manifest.is_complete:
            return ModelFileMissing(text)
        return ModelUnavailable(self._describe_missing(missing))

    def _describe_missing(self, missing: list[str]) -> str:
        present = ", ".join(name for name in self.manifest.files if (self.folder / name).is_file())
        has = (
            f"The cache has only a part of {self.ref} ({shorten(present)})"
            if present
            else (f"{self.ref} is not in the cache")
        )
        text = f"{has}, and {_advise(self.ref, self.options, ', '.join(missing))}"
        cached = [
            name for name in self.manifest.files if name.endswith(".onnx") and (self.folder / name).is_file()
        ]
        if cached and not any(name in cached for name in missing):
            text += f" The cache has the weights {', '.join(cached)}; choose them with model_file=."
        return text
