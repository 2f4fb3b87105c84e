"""Folders as a query names them: ``in:trip``, ``in:2024/trip``, ``in:/home/me/photos``, ``in:2024*``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pictag.gallery.word_forms import fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pictag.gallery.query import Words


def read_folder(words: Words) -> tuple[tuple[str, ...], bool, bool]:
    """The folded names of a folder's path, whether they start at the root, and if the last is a beginning."""
    text = words.text[:-1] if words.is_prefix else words.text
    if text.startswith(("~", ".")):
        text = os.path.abspath(os.path.expanduser(text))  # noqa: PTH100, PTH111 - also of what isn't a path
    names = tuple(filter(None, fold(text).split("/")))
    return names, text.startswith("/"), words.is_prefix


def lies_in(path: Sequence[str], names: Sequence[str], is_absolute: bool, is_prefix: bool) -> bool:
    """Whether the folder ``path`` is in the folder with these names.

    >>> lies_in(["photos", "trip", "day 1"], ("trip",), False, False)
    True
    """
    if not names:
        return True
    starts = range(1 if is_absolute else len(path) - len(names) + 1)
    fixed = len(names) - is_prefix
    return any(
        tuple(path[start : start + fixed]) == tuple(names[:fixed])
        and (not is_prefix or (start + fixed < len(path) and path[start + fixed].startswith(names[-1])))
        for start in starts
    )
