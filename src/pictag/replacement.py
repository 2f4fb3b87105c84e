"""Replace a file as a whole, so that a crash leaves the old one or the new one.

Links are followed, so that the file that a link names is replaced and not the link. The new file has the
permissions and, if possible, the owner of the old one. Pipes and devices can't be replaced.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from pictag.errors import OutputError, shorten

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def find_file(path: Path, *, reason: str) -> Path:
    """The file that a path names, after links; raises `OutputError` for anything but a regular file.

    ``reason`` ends the sentence. The file may not exist yet.
    """
    try:
        target = path.resolve()
        is_regular = not target.exists() or target.is_file()
    except (OSError, RuntimeError) as error:  # permissions, a name that is too long, a circular link
        number = error.errno if isinstance(error, OSError) else None
        raise OutputError(f"Cannot write {shorten(path)}: {_explain(error)}.", errno=number) from error
    if not is_regular:
        raise OutputError(f"{shorten(path)} is not a regular file, {reason}.", filename=path)
    return target


def part_path(target: Path) -> Path:
    """The file beside ``target`` that is to replace it."""
    return target.with_name(f"{target.name}.pictag-part")


def create_file(path: Path, *, like: Path) -> BinaryIO:
    """Create an empty file, with the permissions and the owner of the file ``like``, if that exists.

    A link of that name is removed and not followed. Raises ``OSError``.
    """
    old = None
    path.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        old = like.stat()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    stream = os.fdopen(os.open(path, flags, 0o666 if old is None else 0o600), "wb")
    if old is not None:
        try:
            keep_access(path, old)
        except BaseException:
            stream.close()
            raise
    return stream


def keep_access(path: Path, status: os.stat_result) -> None:
    """Give a file the permissions and, where that is allowed, the owner of another."""
    with suppress(OSError, AttributeError):  # only root may give files away; Windows has no owners
        os.chown(path, status.st_uid, status.st_gid)
    path.chmod(stat.S_IMODE(status.st_mode))


@contextmanager
def replace_file(path: Path) -> Iterator[BinaryIO]:
    """A stream whose content replaces the file at the end of the block, unless the block raises.

    Raises `OutputError`, also for an ``OSError`` in the block.
    """
    target = find_file(path, reason="so it can't be replaced")
    try:
        try:
            with create_file(part_path(target), like=target) as stream:
                yield stream
            part_path(target).replace(target)
        finally:
            part_path(target).unlink(missing_ok=True)
    except OutputError:  # is an OSError too
        raise
    except OSError as error:
        raise OutputError(
            f"Cannot write {shorten(path)}: {_explain(error)}.", errno=error.errno, filename=path
        ) from error


def _explain(error: Exception) -> str:
    return shorten(getattr(error, "strerror", None) or error)
