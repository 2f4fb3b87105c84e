"""The requests to the Hub, all of them through ``huggingface_hub``, and its errors turned into ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from huggingface_hub import HfApi, constants, hf_hub_download, is_offline_mode
from huggingface_hub.file_download import repo_folder_name

from pictag import __version__
from pictag.errors import OptionError, shorten
from pictag.models.digest import is_digest
from pictag.models.hub_errors import FOREIGN, raise_ours
from pictag.models.hub_guard import Expected, RefusedAnswer, Watch, guarded, is_commit, make_meter_class
from pictag.models.ledger import Ledger, Stated
from pictag.models.options import LoadOptions, OnProgress
from pictag.models.weights import is_inside

_TIMEOUT_S = 10.0


def is_offline(options: LoadOptions) -> bool:
    """Whether no request may be made: by option, or by ``HF_HUB_OFFLINE``."""
    return options.local_files_only or is_offline_mode()


def cache_folder(cache_dir: Path | None) -> Path:
    """The cache of ``huggingface_hub``, or the folder that stands in for it."""
    return Path(cache_dir or constants.HF_HUB_CACHE).expanduser().resolve()


def repository_folder(name: str, cache_dir: Path | None) -> Path:
    """The folder of one model in the cache, whether or not it exists."""
    return cache_folder(cache_dir) / repo_folder_name(repo_id=name, repo_type="model")


def ask_hub(name: str, revision: str, options: LoadOptions) -> Ledger:
    """Ask which commit a revision is and which files it has: one request.

    Raises `ModelNotFound`, `ModelAccessDenied`, `ModelUnavailable`, or `CorruptModel` for an answer that is
    refused.
    """
    token = _check_token(options.token)
    try:
        with guarded():
            # Typed loosely: a Hub that lies can put anything into the fields.
            info: Any = HfApi(library_name="pictag", library_version=__version__).model_info(
                name, revision=revision, files_metadata=True, timeout=_TIMEOUT_S, token=token
            )
            return _read_info(info, name, revision)
    except FOREIGN as error:
        raise_ours(error, name=name, revision=revision, file=None)


def download_file(
    name: str, ledger: Ledger, file: str, options: LoadOptions, on_progress: OnProgress | None
) -> Path:
    """Fetch one file of a commit into the cache and give its path there (a link into the blobs)."""
    watch = Watch(file=file, size=ledger.files[file].size, on_progress=on_progress)
    try:
        with guarded(Expected(commit=ledger.commit, size=watch.size)):
            return Path(
                hf_hub_download(
                    name,
                    file,
                    revision=ledger.commit,
                    cache_dir=options.cache_dir,
                    token=_check_token(options.token),
                    library_name="pictag",
                    library_version=__version__,
                    tqdm_class=cast("Any", make_meter_class(watch)),
                )
            )
    except FOREIGN as error:
        if error in watch.failures:
            raise
        raise_ours(error, name=name, revision=ledger.commit, file=file)


def _check_token(token: str | bool | None) -> str | bool | None:
    # An HTTP library's complaint about a bad header would show the token.
    if isinstance(token, str) and not (
        token.isascii() and token.isprintable() and " " not in token and token
    ):
        raise OptionError("The token has characters that no token of the Hub has (it is not shown here).")
    return token


def _read_info(info: Any, name: str, revision: str) -> Ledger:
    if not is_commit(info.sha):
        raise RefusedAnswer("it names no commit")
    if is_commit(revision) and info.sha != revision:
        raise RefusedAnswer("it answers with another commit than the one that was asked for")
    files = {}
    for sibling in info.siblings or ():
        path = sibling.rfilename
        if (
            not isinstance(path, str)
            or ".." in path.replace("\\", "/").split("/")
            or path.startswith(("/", "\\"))
        ):
            raise RefusedAnswer(f"its list of files has {shorten(path, 80)!r}, which leads out of the model")
        if not is_inside(path):
            continue  # a name that is of no use here, such as one with a colon in it
        digest = sibling.lfs.sha256 if sibling.lfs else sibling.blob_id
        size = sibling.lfs.size if sibling.lfs else sibling.size
        if digest is not None and not is_digest(digest):
            raise RefusedAnswer(f"it states no true digest of {shorten(path, 80)!r}")
        files[path] = Stated(size=size if isinstance(size, int) else None, digest=digest)
    licence = getattr(info.card_data, "license", None)
    return Ledger(commit=info.sha, files=files, licence=_licence_text(licence))


def _licence_text(licence: object) -> str | None:
    if isinstance(licence, list):
        licence = ", ".join(str(part) for part in licence)
    return shorten(licence) if isinstance(licence, str) and licence else None
