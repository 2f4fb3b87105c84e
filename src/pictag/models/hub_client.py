"""Requests to the Hub, all of them through ``huggingface_hub``.

``huggingface_hub`` trusts the server in ``HF_ENDPOINT``, which may be any mirror. Two hooks in its HTTP
session protect pictag's own requests, which are recognised by their user agent; those of other programs in
the same process are left alone.

- A token is only sent to the Hub, even if a reply redirects elsewhere.
- An ETag becomes a file name in the cache, so one with a path in it could overwrite any file of the user;
  and ``hf_xet`` sends the token to the address in a reply's header, so that address must be the Hub's.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, get_session, is_offline_mode
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.utils import silent_tqdm  # type: ignore[attr-defined]  # exported, not listed
from huggingface_hub.utils._verification import FolderVerification

from pictag import __version__
from pictag.errors import CorruptModel, ModelUnavailable, shorten
from pictag.models.hub_errors import endpoint, translate_errors
from pictag.models.manifest import FileChecksum, Manifest, is_commit
from pictag.models.options import LoadOptions, OnProgress
from pictag.models.weights import is_inside
from pictag.options import DownloadProgress

_TIMEOUT_S = 10.0
_ETAG = re.compile(r"[A-Za-z0-9_+=\-]{1,128}")
_HUBS = ("https://huggingface.co", "https://hf.co")


def is_offline(options: LoadOptions) -> bool:
    """Whether requests are disabled, by option or by ``HF_HUB_OFFLINE``."""
    return options.local_files_only or is_offline_mode()


def cache_folder(cache_dir: Path | None) -> Path:
    """The cache of ``huggingface_hub``, or the folder to use instead.

    Raises `ModelUnavailable` if it is in a home folder and the user has none, as in some containers.
    """
    folder = Path(cache_dir or constants.HF_HUB_CACHE)
    try:
        return folder.expanduser().resolve()
    except RuntimeError as error:
        raise ModelUnavailable(
            f"The folder for downloads, {shorten(folder)}, is in a home folder, and this user has none. Set "
            "HF_HOME to a folder that can be written to. The model 'embedded' needs no downloads."
        ) from error


def repository_folder(name: str, cache_dir: Path | None) -> Path:
    """The folder of one model in the cache, whether or not it exists."""
    return cache_folder(cache_dir) / repo_folder_name(repo_id=name, repo_type="model")


def fetch_manifest(name: str, revision: str, options: LoadOptions) -> Manifest:
    """Resolve a revision to its commit and list its files: one request.

    Raises `ModelNotFound`, `ModelAccessDenied`, `ModelUnavailable`, or `CorruptModel` for a reply that can't
    be trusted.
    """
    with translate_errors(name, revision):
        # Typed loosely: an untrusted Hub can put anything into the fields.
        info: Any = _make_api(options.token).model_info(
            name, revision=revision, files_metadata=True, timeout=_TIMEOUT_S
        )
        if not is_commit(info.sha) or (is_commit(revision) and info.sha != revision):
            raise CorruptModel(f"{endpoint()} returned another commit of {name} than the one requested.")
        files = {}
        for sibling in info.siblings or ():
            path = sibling.rfilename
            parts = path.replace("\\", "/").split("/")
            if ".." in parts or not parts[0]:
                raise CorruptModel(
                    f"{endpoint()} lists a file outside of the model {name}: {shorten(path, 80)!r}."
                )
            if is_inside(path):  # a name that can't be a path everywhere, such as "a:b", isn't used
                files[path] = FileChecksum(
                    size=sibling.size, sha256=sibling.lfs.sha256 if sibling.lfs else None
                )
        return Manifest(commit=info.sha, files=files, licence=_read_licence(info.card_data))


def download_file(
    name: str, manifest: Manifest, file: str, options: LoadOptions, on_progress: OnProgress | None
) -> Path:
    """Fetch one file of a commit into the cache, and return its path there."""
    caller_errors: list[Exception] = []
    bar = make_progress_bar(file, manifest.files[file].size, on_progress, caller_errors)
    with translate_errors(name, manifest.commit, file, caller_errors):
        return Path(
            _make_api(options.token).hf_hub_download(
                name, file, revision=manifest.commit, cache_dir=options.cache_dir, tqdm_class=bar
            )
        )


def verify_checksums(name: str, commit: str, cache_dir: Path | None) -> FolderVerification:
    """Hash all cached files of a commit and compare them with the Hub's checksums."""
    with translate_errors(name, commit):
        return _make_api(None).verify_repo_checksums(name, revision=commit, cache_dir=cache_folder(cache_dir))


def is_hub(url: str) -> bool:
    """Whether an address belongs to the Hub in use, so that it may receive the token."""
    return _origin(url) in map(_origin, (constants.ENDPOINT, *_HUBS))


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _make_api(token: str | bool | None) -> HfApi:
    _protect_session()
    return HfApi(token=token, library_name="pictag", library_version=__version__)


def _protect_session() -> None:
    hooks = get_session().event_hooks
    for event, hook in (("request", _withhold_token), ("response", _check_reply)):
        if hook not in hooks[event]:
            hooks[event].append(hook)


def _is_ours(request: httpx2.Request) -> bool:
    return request.headers.get("user-agent", "").startswith("pictag/")


def _withhold_token(request: httpx2.Request) -> None:
    if _is_ours(request) and not is_hub(str(request.url)):
        request.headers.pop("authorization", None)


def _check_reply(response: httpx2.Response) -> None:
    if response.request.method != "HEAD" or not _is_ours(response.request):
        return
    headers = response.headers
    etag = headers.get("X-Linked-Etag") or headers.get("ETag") or "none"
    refresh = headers.get("X-Xet-Refresh-Route") or response.links.get("xet-auth", {}).get("url")
    if not _ETAG.fullmatch(etag.removeprefix("W/").strip('"')):
        raise CorruptModel(f"{endpoint()} sent an ETag that can't be a file name: {shorten(etag, 80)!r}.")
    if refresh is not None and not is_hub(refresh):
        raise CorruptModel(
            f"{endpoint()} asks for the token to be sent to another host: {shorten(refresh, 80)!r}."
        )


def make_progress_bar(
    file: str, size: int | None, on_progress: OnProgress | None, caller_errors: list[Exception]
) -> type:
    """A class to use for ``tqdm``: it calls ``on_progress`` and keeps what that raises."""

    class ProgressBar(silent_tqdm):
        def __init__(self, *, total: int | None = None, initial: int = 0, **_: object) -> None:
            self._received = 0
            self._total = total if size is None else size
            self.update(initial)

        def update(self, n: float | None = 1) -> None:
            self._received += int(n or 0)
            if on_progress is not None:
                try:
                    on_progress(DownloadProgress(file=file, received=self._received, total=self._total))
                except Exception as error:
                    caller_errors.append(error)
                    raise

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire aren't counted: they differ from the file's if hf_xet reuses chunks."""

        def set_postfix_str(self, *_: object, **__: object) -> None:
            """The rate isn't shown."""

        set_transfer_postfix_str = set_postfix_str

    return ProgressBar


def _read_licence(card: object) -> str | None:
    licence = getattr(card, "license", None)
    if isinstance(licence, list):
        licence = ", ".join(map(str, licence))
    return shorten(licence) if isinstance(licence, str) and licence else None
