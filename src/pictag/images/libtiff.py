"""Keeps libtiff's error messages off the user's terminal."""

from __future__ import annotations

import contextlib
import ctypes
import functools


@functools.cache
def suppress_libtiff_errors() -> None:
    """Remove the handler with which libtiff prints its errors on file descriptor 2.

    Pillow silences libtiff's warnings but not its errors, and has no option for it. The handler is one
    pointer per process. Errors are still reported as return codes. Where libtiff's symbols can't be found
    (statically linked, as on Windows), this does nothing.
    """
    from PIL import _imaging

    # The handle of Pillow's own module finds the copy of libtiff that Pillow is linked with.
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(_imaging.__file__)
        for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)
