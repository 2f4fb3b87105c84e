"""Every error that pictag raises on purpose, in one tree.

    PictagError
    ├── OptionError (ValueError)            an option has a value that means nothing
    │   ├── UnknownTask                     the task is not one that pictag knows
    │   └── UnknownOption (TypeError)       there is no option of that name
    ├── InputError                          one image could not be used; the others go on
    │   ├── UnsupportedInput (TypeError)    a value that is no kind of image input
    │   ├── ImageNotFound (FileNotFoundError)
    │   ├── ImageUnreadable (OSError)     it is there, but reading it failed
    │   ├── FetchFailed (OSError)           a URL could not be read
    │   │   ├── AddressRefused (PermissionError)   a private or malformed address
    │   │   ├── FetchTimeout (TimeoutError)
    │   │   └── FetchTooLarge
    │   └── DecodeError (ValueError)
    │       ├── NotAnImage                 no image format recognised
    │       ├── FormatRefused               an image format that is not opened
    │       ├── CorruptImage              broken, truncated or inconsistent
    │       └── ImageTooLarge             more pixels than the limit
    ├── ModelError
    │   ├── ModelNotFound (FileNotFoundError)      no such repository, revision or folder
    │   ├── ModelUnavailable (ConnectionError)     not in the cache and not to be had now
    │   ├── ModelAccessDenied (PermissionError)    the token is missing, wrong or not enough
    │   ├── ModelFileMissing (FileNotFoundError)   a file of the model, or a dtype, is not there
    │   ├── CorruptModel (ValueError)              bytes are not what was promised
    │   ├── InvalidModel (ValueError)              a configuration or graph that contradicts itself
    │   ├── QuantizationRejected (ValueError)      8-bit weights agree too little with the original
    │   └── UnsupportedProcessor (NotImplementedError)   preprocessing that pictag does not do
    ├── EngineError (RuntimeError)          the inference engine failed
    ├── MissingExtra (ImportError)          an optional package is not installed
    ├── OutputError (OSError)               a result could not be written
    │   └── UnreadableResults (ValueError)  a file of results is not what pictag writes
    └── PipelineClosed (RuntimeError)       used after close()

A leaf is also the built-in kind that Python users already catch. Foreign exceptions are turned into these
where they arise, with ``from``.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SHOWN_CHARACTERS = 200


def escape(text: str) -> str:
    r"""The text on one line, with every non-printable character as an escape.

    Such characters could move a terminal's cursor, ring its bell or hide text.

    >>> escape("two\nlines \x1b[31m")
    'two\\nlines \\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def shorten(value: object, limit: int = MAX_SHOWN_CHARACTERS) -> str:
    """The value as text for a message: one line, printable, at most ``limit`` characters.

    >>> shorten("a" * 500, limit=10)
    'aaaaaaaaa…'
    >>> shorten("two\\nlines")
    'two\\\\nlines'
    """
    text = escape(str(value)[: 2 * limit])
    return text if len(text) <= limit else text[: limit - 1] + "…"


def suggest(value: object, known: Iterable[str]) -> str:
    """A sentence that names the known word nearest to the value; empty if none is near.

    >>> suggest("topk", ["top_k", "min_score"])
    " Did you mean 'top_k'?"
    >>> suggest("colour", ["top_k", "min_score"])
    ''
    """
    near = difflib.get_close_matches(str(value)[:64], list(known), n=1, cutoff=0.5)
    return f" Did you mean {near[0]!r}?" if near else ""


class PictagError(Exception):
    """The root: ``except PictagError`` catches everything that pictag raises on purpose."""


class OptionError(PictagError, ValueError):
    """An option has a value that means nothing."""


class UnknownTask(OptionError):
    """The task is not one that pictag knows."""


class UnknownOption(OptionError, TypeError):
    """There is no option of that name."""


class InputError(PictagError):
    """One image could not be used; the others go on."""


class UnsupportedInput(InputError, TypeError):
    """A value that is no kind of image input."""


class ImageNotFound(InputError, FileNotFoundError):
    """There is no file or folder of that name."""


class ImageUnreadable(InputError, OSError):
    """The file is there, but reading it failed."""


class FetchFailed(InputError, OSError):
    """A URL could not be read."""


class AddressRefused(FetchFailed, PermissionError):
    """A URL leads to an address that is private, or is malformed."""


class FetchTimeout(FetchFailed, TimeoutError):
    """A URL was not read within the time allowed."""


class FetchTooLarge(FetchFailed):
    """A URL holds more bytes than allowed."""


class DecodeError(InputError, ValueError):
    """The bytes could not be turned into pixels."""


class NotAnImage(DecodeError):
    """No image format was recognised."""


class FormatRefused(DecodeError):
    """An image format that pictag does not open."""


class CorruptImage(DecodeError):
    """The image is broken, truncated or contradicts itself."""


class ImageTooLarge(DecodeError):
    """The image has more pixels than the limit."""


class ModelError(PictagError):
    """A model could not be found, fetched, checked or understood."""


class ModelNotFound(ModelError, FileNotFoundError):
    """There is no such repository, revision or folder."""


class ModelUnavailable(ModelError, ConnectionError):
    """The model is not in the cache and cannot be had now."""


class ModelAccessDenied(ModelError, PermissionError):
    """The token is missing, wrong, or not enough."""


class ModelFileMissing(ModelError, FileNotFoundError):
    """A file of the model, or the dtype that was asked for, is not there."""


class CorruptModel(ModelError, ValueError):
    """The bytes of a model are not those that were promised."""


class InvalidModel(ModelError, ValueError):
    """A configuration or a graph that contradicts itself."""


class QuantizationRejected(ModelError, ValueError):
    """8-bit weights name another best label than the original too often."""


class UnsupportedProcessor(ModelError, NotImplementedError):
    """The model needs preprocessing that pictag does not do."""


class EngineError(PictagError, RuntimeError):
    """The inference engine failed."""


class MissingExtra(PictagError, ImportError):
    """An optional package is not installed; the message has the command that installs it."""


class OutputError(PictagError, OSError):
    """A result could not be written."""


class UnreadableResults(OutputError, ValueError):
    """A file of results cannot be read, or is not what pictag writes."""


class PipelineClosed(PictagError, RuntimeError):
    """The pipeline was used after ``close()``."""
