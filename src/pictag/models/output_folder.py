"""A model folder that a command makes: written to a staging folder beside it, and moved into place when
complete.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import stat
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pictag.errors import OutputError, PictagError, shorten
from pictag.models.files import CARD, CONFIG, PREPROCESSOR, PROCESSOR
from pictag.models.folder import LABELS, SETTINGS, TAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pictag.models.load import Model

COMMANDS = {"quantization": "pictag quantize", "teaching": "pictag teach"}
"""The keys in ``card.json`` that commands write, and these commands."""
CARRIED = (
    CONFIG,
    PREPROCESSOR,
    PROCESSOR,
    LABELS,
    TAGS,
    SETTINGS,
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "NOTICE",
)


def check_output(output: Path, *, made_by: str, overwrite: bool, sources: tuple[Path, ...]) -> None:
    """Raise `OutputError` for an output that can't be written, before any work is done.

    ``made_by`` is the key that the command writes into ``card.json``; ``overwrite`` only replaces folders
    with this key. ``sources`` are files and folders that must not be in the output.
    """
    if not output.absolute().parent.is_dir():
        raise OutputError(f"The folder {shorten(output.absolute().parent)} doesn't exist. Create it first.")
    if output.is_symlink() or (output.exists() and not output.is_dir()):
        raise OutputError(f"{shorten(output)} is not a folder. Choose a new folder.")
    place = output.resolve()
    for source in sources:
        if source.exists() and (place == source.resolve() or place in source.resolve().parents):
            raise OutputError(f"{shorten(output)} contains the model or the images. Choose a new folder.")
    if not output.exists() or not any(output.iterdir()):
        return
    if not _is_made_by(made_by, output):
        command = COMMANDS[made_by]
        raise OutputError(
            f"{shorten(output)} is not empty, and was not written by '{command}'. Choose a new folder."
        )
    if not overwrite:
        raise OutputError(
            f"{shorten(output)} already exists. Use --overwrite (overwrite=True) to replace it."
        )


@contextlib.contextmanager
def staging_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside the output, always removed afterwards."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.absolute().parent))
    except OSError as error:
        raise OutputError(
            f"Cannot create a folder beside {shorten(output)}: {error.strerror}.", errno=error.errno
        ) from error
    try:
        yield folder
    except PictagError:
        raise
    except OSError as error:  # a full disk
        raise OutputError(
            f"Cannot write {shorten(output)}: {error.strerror or error}.", errno=error.errno, filename=output
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def folder_of(model: Model) -> Path:
    """The folder that holds the model's files."""
    return model.weights.parents[len(PurePosixPath(model.card.weights).parts) - 1]


def carry_over(model_folder: Path, target: Path) -> None:
    """Copy the files that describe the model: configuration, preprocessing, labels, licence."""
    for name in CARRIED:
        if (model_folder / name).is_file():
            shutil.copyfile(model_folder / name, target / name)  # follows the links of the Hub's cache


def write_card(target: Path, card: dict[str, Any]) -> None:
    """Write ``card.json``."""
    text = json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False)
    (target / CARD).write_text(text + "\n", encoding="utf-8")


def put_in_place(target: Path, output: Path) -> None:
    """Move the finished folder into place; an existing one is removed only after that."""
    old = target.parent / "replaced"
    try:
        if output.exists():
            target.chmod(stat.S_IMODE(output.stat().st_mode))
            output.rename(old)
        try:
            target.rename(output)
        except OSError:
            if old.exists():
                old.rename(output)
            raise
    except OSError as error:
        raise OutputError(
            f"Cannot write {shorten(output)}: {error.strerror}.", errno=error.errno, filename=output
        ) from error


def _is_made_by(key: str, folder: Path) -> bool:
    try:
        card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(card, dict) and key in card
