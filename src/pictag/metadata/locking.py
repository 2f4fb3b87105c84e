"""Replacing a file so that a crash leaves the old one or the new one, one writer at a time."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pictag.errors import ImageUnreadable, OutputError, shorten
from pictag.replacement import create_file

_LOCK_FILE = ".pictag.lock"


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file's bytes, and its state when they were read."""

    data: bytes
    status: os.stat_result


def read_file(path: Path, *, max_bytes: int) -> ReadFile | None:
    """At most ``max_bytes`` + 1 bytes of a regular file; None if it doesn't exist.

    Raises `ImageUnreadable`. A pipe or a device isn't opened: reading it could wait forever.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise ImageUnreadable(f"{shorten(path)} is not a regular file.")
            return ReadFile(stream.read(max_bytes + 1), status)
    except FileNotFoundError:
        return None
    except ImageUnreadable:
        raise
    except OSError as error:
        raise ImageUnreadable(f"Cannot read {shorten(path)}: {error.strerror}.") from error


def is_unchanged(path: Path, read: ReadFile | None) -> bool:
    """Whether the file is still the one that was read."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return read is None
    before = None if read is None else read.status
    return before is not None and (now.st_ino, now.st_size, now.st_mtime_ns) == (
        before.st_ino,
        before.st_size,
        before.st_mtime_ns,
    )


def temporary_path(path: Path, suffix: str = "tmp") -> Path:
    """The hidden file beside ``path`` in which its new content is written.

    The name is always the same, so that the next run replaces what a killed one has left.
    """
    digest = hashlib.blake2b(os.fsencode(path.name), digest_size=8).hexdigest()
    return path.with_name(f".pictag-{digest}.{suffix}")


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` in place of a file, or as a new one, and wait until it is on the disk.

    Call it while the folder is locked. Raises `OutputError`.
    """
    temporary = temporary_path(path)
    try:
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "The file is read-only")
        try:
            with create_file(temporary, like=path) as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"Cannot write {shorten(path)}: {error.strerror}. It is unchanged.") from error


def _lock(descriptor: int) -> None:
    """Wait for the lock. The system releases it when the descriptor is closed, or the process is killed."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX)


@contextmanager
def locked_folder(folder: Path, *, lock: Callable[[int], None] = _lock) -> Iterator[None]:
    """Let one writer at a time change files of a folder, among the processes and threads of pictag.

    The folder itself is locked, so that nothing is left in it. Windows and NFS can't lock a folder; there the
    lock is a file ``.pictag.lock`` in it. Raises `OutputError`.
    """
    try:
        descriptor = _open_lock(folder, lock)
    except OSError as error:
        raise OutputError(f"Cannot lock the folder {shorten(folder)}: {error.strerror}.") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _open_lock(folder: Path, lock: Callable[[int], None]) -> int:
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            lock(descriptor)
            return descriptor
        except OSError:
            os.close(descriptor)
    descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        lock(descriptor)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
