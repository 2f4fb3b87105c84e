"""All errors that pictag raises on purpose, in one tree.

    PictagError
    ├── OptionError (ValueError)            an option has an invalid value
    │   ├── UnknownTask                     pictag doesn't support this task
    │   ├── UnknownOption (TypeError)       an option with an unknown name
    │   └── QueryError                      a query of the gallery can't be understood
    ├── InputError                          one image can't be used; the others are still classified
    │   ├── UnsupportedInput (TypeError)    a value that is not an image
    │   ├── ImageNotFound (FileNotFoundError)
    │   ├── ImageUnreadable (OSError)       the file exists, but reading it failed
    │   ├── FetchFailed (OSError)           a URL can't be read
    │   │   ├── AddressRefused (PermissionError)   a private or malformed address
    │   │   ├── FetchTimeout (TimeoutError)
    │   │   └── FetchTooLarge
    │   ├── MetadataError (ValueError)      keywords can't be read or written: hostile, broken or unknown XMP
    │   └── DecodeError (ValueError)
    │       ├── NotAnImage                  not in a known image format
    │       ├── FormatRefused               an image format that pictag doesn't open
    │       ├── CorruptImage                broken, truncated or inconsistent
    │       └── ImageTooLarge               more pixels than the limit
    ├── ModelError
    │   ├── ModelNotFound (FileNotFoundError)      the repository, revision or folder doesn't exist
    │   ├── ModelUnavailable (ConnectionError)     not in the cache, and the Hub can't be reached
    │   ├── ModelAccessDenied (PermissionError)    the token or a folder's permissions are insufficient
    │   ├── ModelFileMissing (FileNotFoundError)   the model lacks a file or a dtype
    │   ├── CorruptModel (ValueError)              a file's checksum or size is wrong
    │   ├── InvalidModel (ValueError)              an invalid configuration or graph
    │   ├── QuantizationRejected (ValueError)      8-bit weights agree too little with the original
    │   ├── TeachingRejected (ValueError)          a taught model's labels can't be told apart
    │   └── UnsupportedProcessor (NotImplementedError)   preprocessing that pictag doesn't implement
    ├── InvalidData (ValueError)            labelled images can't be used: unclear classes, a broken CSV
    ├── EngineError (RuntimeError)          the inference engine failed
    ├── MissingExtra (ImportError)          an optional package is not installed
    ├── MissingProgram (FileNotFoundError)  an external program is not installed
    ├── OutputError (OSError)               a result can't be written
    │   └── UnreadableResults (ValueError)  not a result file of pictag, or it can't be read
    ├── LibraryError                        the library of the gallery can't be used
    │   ├── LibraryNotFound (FileNotFoundError)
    │   ├── InvalidLibrary (ValueError)     damaged, not a library, or of a newer pictag
    │   └── LibraryLocked (TimeoutError)    another program is writing it
    ├── DeadlineExceeded (TimeoutError)     not done within the time allowed
    └── PipelineClosed (RuntimeError)       used after close()

Each leaf is also the built-in type that Python users already catch; those that are an ``OSError`` have its
``errno`` and ``filename`` where they are known. Exceptions of other libraries are converted to these where
they arise, with ``from``.
"""

from __future__ import annotations

import os
import re
from errno import ENOENT
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_SHOWN_CHARACTERS = 200
MAX_REASON_CHARACTERS = 600
# In messages of Python, ONNX Runtime and OpenVINO.
_NO_THREADS = re.compile(r"start new thread|pthread_create|Resource temporarily unavailable", re.IGNORECASE)
_NO_MEMORY = re.compile(r"bad_alloc|bad allocation|allocate memory|out of memory", re.IGNORECASE)


def escape(text: str) -> str:
    r"""The text on one line, with every non-printable character as an escape.

    Such characters could move a terminal's cursor, ring its bell or hide text.

    >>> escape("two\nlines \x1b[31m")
    'two\\nlines \\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shorten(value: object, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """The value as text for a message: one printable line of at most ``limit`` characters.

    >>> shorten("a" * 500, limit=10)
    'aaaaaaaaa…'
    >>> shorten("two\\nlines")
    'two\\\\nlines'
    """
    text = escape(str(value)[: 2 * limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shorten_reason(reason: object, limit: int = MAX_REASON_CHARACTERS) -> str:
    """What another library says about a failure, on one printable line without the period at its end.

    A long text loses its middle: libraries begin with where they failed, and end with why.

    >>> shorten_reason("In /src/graph/model.cc: the version 99 is unsupported.", limit=34)
    'In /src/graph/mod…99 is unsupported'
    """
    text = escape(str(reason).strip()).removesuffix(".")
    half = limit // 2
    return text if len(text) <= limit else f"{text[:half]}…{text[-half:].lstrip()}"


def explain_shortage(error: BaseException) -> str | None:
    """A sentence about the limit that another library has met, ``None`` for any other error.

    >>> (explain_shortage(RuntimeError("can't start new thread")) or "")[:58]
    "The system doesn't allow another thread. Use threads=1, or"
    """
    if _NO_THREADS.search(str(error)):
        return (
            "The system doesn't allow another thread. Use threads=1, or raise the limit ('ulimit -u', a "
            "container's limit on processes, or its memory)."
        )
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return (
            "There isn't enough memory. Use threads=1 or a smaller batch_size, or raise the limit "
            "('ulimit -v', a container's memory)."
        )
    return None


def suggest(value: object, known: Iterable[str]) -> str:
    """A sentence that suggests the known word most similar to the value; empty if none is very similar.

    >>> suggest("topk", ["top_k", "min_score"])
    " Did you mean 'top_k'?"
    >>> suggest("colour", ["top_k", "min_score"])
    ''
    """
    from difflib import get_close_matches  # takes 3 ms to import

    near = get_close_matches(str(value)[:64], list(known), n=1, cutoff=0.75)
    return f" Did you mean {near[0]!r}?" if near else ""


def list_some(names: Sequence[str], most: int = 5) -> str:
    """The first names, and how many more there are.

    >>> list_some(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class PictagWarning(UserWarning):
    """pictag had to assume something that can change labels or scores; the message says what."""


_OS_FACTS = ("errno", "strerror", "filename")


def _set_os_facts(error: OSError, number: int | None, filename: object) -> None:
    error.errno = ENOENT if isinstance(error, FileNotFoundError) else number
    error.strerror = None if error.errno is None else os.strerror(error.errno)
    error.filename = None if filename is None else str(filename)


class PictagError(Exception):
    """The root: ``except PictagError`` catches everything that pictag raises on purpose."""

    def __init__(self, message: str = "", *, errno: int | None = None, filename: object = None) -> None:
        """``errno`` and ``filename`` are those of an ``OSError``; other errors don't have them.

        >>> error = ImageNotFound("tiger.jpg: the file doesn't exist.", filename="tiger.jpg")
        >>> str(error), error.errno, error.filename
        ("tiger.jpg: the file doesn't exist.", 2, 'tiger.jpg')
        """
        super().__init__(message)
        if isinstance(self, OSError):
            _set_os_facts(self, errno, filename)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # an OSError would show its errno and file name instead

    def __reduce__(self) -> tuple[object, ...]:
        kept = {name: getattr(self, name) for name in _OS_FACTS} if isinstance(self, OSError) else {}
        return type(self), self.args, {**kept, **self.__dict__}


class OptionError(PictagError, ValueError):
    """An option has an invalid value."""


class UnknownTask(OptionError):
    """pictag doesn't support this task."""


class UnknownOption(OptionError, TypeError):
    """An option with an unknown name."""


class QueryError(OptionError):
    """A query of the gallery can't be understood: characters ``start`` to ``end`` of ``query`` are why."""

    def __init__(self, message: str = "", *, query: str = "", start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.query, self.start, self.end = query, start, end


class InputError(PictagError):
    """One image can't be used; the others are still classified."""


class UnsupportedInput(InputError, TypeError):
    """A value that is not an image."""


class ImageNotFound(InputError, FileNotFoundError):
    """A file or folder doesn't exist."""


class ImageUnreadable(InputError, OSError):
    """The file exists, but reading it failed."""


class FetchFailed(InputError, OSError):
    """A URL can't be read."""


class AddressRefused(FetchFailed, PermissionError):
    """A URL whose address is private or malformed."""


class FetchTimeout(FetchFailed, TimeoutError):
    """A URL was not read within the time limit."""


class FetchTooLarge(FetchFailed):
    """A URL has more bytes than the limit."""


class MetadataError(InputError, ValueError):
    """The keywords of an image or a sidecar can't be read or written."""


class DecodeError(InputError, ValueError):
    """The bytes can't be decoded to pixels."""


class NotAnImage(DecodeError):
    """The bytes are not in a known image format."""


class FormatRefused(DecodeError):
    """An image format that pictag doesn't open."""


class CorruptImage(DecodeError):
    """The image is broken, truncated or inconsistent."""


class ImageTooLarge(DecodeError):
    """The image has more pixels than the limit."""


class ModelError(PictagError):
    """A model can't be found, downloaded, verified or used."""


class ModelNotFound(ModelError, FileNotFoundError):
    """The repository, revision or folder doesn't exist."""


class ModelUnavailable(ModelError, ConnectionError):
    """The model is not in the cache, and the Hub can't be reached."""


class ModelAccessDenied(ModelError, PermissionError):
    """The token is missing, wrong or insufficient, or the model's folder may not be read."""


class ModelFileMissing(ModelError, FileNotFoundError):
    """The model lacks a file, or the dtype that was asked for."""


class CorruptModel(ModelError, ValueError):
    """The checksum or the size of a model's file is wrong."""


class InvalidModel(ModelError, ValueError):
    """A model with an invalid configuration or graph."""


class QuantizationRejected(ModelError, ValueError):
    """The best labels of the 8-bit weights differ from the original too often."""


class TeachingRejected(ModelError, ValueError):
    """The labels of a taught model can't be told apart better than by chance."""


class UnsupportedProcessor(ModelError, NotImplementedError):
    """The model needs preprocessing that pictag doesn't implement."""


class InvalidData(PictagError, ValueError):
    """Labelled images can't be used: the classes are unclear, or a CSV is broken."""


class EngineError(PictagError, RuntimeError):
    """The inference engine failed."""


class MissingExtra(PictagError, ImportError):
    """An optional package is not installed; the message has the command that installs it."""


class MissingProgram(PictagError, FileNotFoundError):
    """An external program is not installed; the message says how to install it."""


class OutputError(PictagError, OSError):
    """A result can't be written."""


class UnreadableResults(OutputError, ValueError):
    """A file can't be read, or is not a result file of pictag."""


class LibraryError(PictagError):
    """The library of the gallery can't be used."""


class LibraryNotFound(LibraryError, FileNotFoundError):
    """There is no library at this path."""


class InvalidLibrary(LibraryError, ValueError):
    """A library that is damaged or of a newer pictag, or another file."""


class LibraryLocked(LibraryError, TimeoutError):
    """Another program is writing the library."""


class DeadlineExceeded(PictagError, TimeoutError):
    """An image was not classified in the time allowed."""


class PipelineClosed(PictagError, RuntimeError):
    """The pipeline was used after ``close()``."""
