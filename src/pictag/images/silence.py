"""Decoders talk to themselves here: nothing that Pillow or libtiff says reaches the user's terminal.

What matters of it becomes an error of ours; the rest (odd tags, skipped metadata) is of no use to
somebody who wants to know what is in an image.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import threading
import warnings
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

# Pillow logs errors of some TIFF files. Without any handler Python prints them on stderr; with this one
# they go to the handlers that the user has set up, and nowhere else.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class _ThisThreadDecodes:
    """The module pattern of one warning filter: it matches only in a thread that is decoding.

    ``warnings.catch_warnings`` swaps the filters of the whole process, so two threads that decode would
    undo each other's. A filter whose pattern looks at the thread stays in place and bothers nobody.
    """

    def __init__(self) -> None:
        self._thread = threading.local()

    def match(self, module: str, /) -> bool:
        return module.startswith("PIL") and bool(self.depth)

    @property
    def depth(self) -> int:
        return getattr(self._thread, "depth", 0)

    @depth.setter
    def depth(self, value: int) -> None:
        self._thread.depth = value


_decoding = _ThisThreadDecodes()
_FILTER = ("ignore", None, Warning, _decoding, 0)
_filters_lock = threading.Lock()


@contextlib.contextmanager
def suppress_pillow_warnings() -> Iterator[None]:
    """Pillow's warnings are dropped in this thread for as long as the context lasts."""
    filters = cast("list[Any]", warnings.filters)
    # Ours has to be the first: a later ``simplefilter("error")`` of the user would shadow it.
    if not filters or filters[0] is not _FILTER:
        with _filters_lock:
            filters.insert(0, _FILTER)
            for place in range(len(filters) - 1, 0, -1):
                if filters[place] is _FILTER:
                    del filters[place]
    _decoding.depth += 1
    try:
        yield
    finally:
        _decoding.depth -= 1


@functools.cache
def suppress_libtiff_errors() -> None:
    """Take away the handler with which Pillow's libtiff prints its errors on file descriptor 2.

    Pillow silences libtiff's warnings but not its errors, and offers no switch. The handler is one pointer
    for the whole process; the errors themselves still come back as return codes. Where libtiff's symbols
    are not to be found (statically linked, as on Windows), everything stays as it is.
    """
    from PIL import _imaging

    # The handle of Pillow's own module finds the very libtiff that it is linked with, no other.
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
