"""Failures in result files, including files from before some error classes were renamed."""

from __future__ import annotations

from pictag.records import Failure

_RENAMED = {
    "CorruptPicture": "CorruptImage",
    "NotAPicture": "NotAnImage",
    "PictureNotFound": "ImageNotFound",
    "PictureTooLarge": "ImageTooLarge",
    "PictureUnreadable": "ImageUnreadable",
}


def make_failure(kind: str, message: str) -> Failure:
    """The failure in a result file, under its current kind.

    >>> make_failure("NotAPicture", "a.jpg is not an image.").kind
    'NotAnImage'
    """
    return Failure(kind=_RENAMED.get(kind, kind), message=message)
