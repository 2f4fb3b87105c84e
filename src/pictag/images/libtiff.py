"""The copy of libtiff that Pillow is linked with: its codecs, and its error messages."""

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
    with contextlib.suppress(OSError, AttributeError):
        library = _open_libtiff()
        for name in ("TIFFSetErrorHandler", "TIFFSetErrorHandlerExt"):
            setter = getattr(library, name)
            setter.argtypes, setter.restype = [ctypes.c_void_p], ctypes.c_void_p
            setter(None)


@functools.cache
def has_codec(compression: int) -> bool:
    """Whether this libtiff was built with the codec of a compression; true if it can't be asked."""
    with contextlib.suppress(OSError, AttributeError):
        return bool(_open_libtiff().TIFFIsCODECConfigured(ctypes.c_uint16(compression)))
    return True


def _open_libtiff() -> ctypes.CDLL:
    from PIL import _imaging

    # The handle of Pillow's own module finds the copy of libtiff that Pillow is linked with.
    return ctypes.CDLL(_imaging.__file__)
