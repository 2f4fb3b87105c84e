"""What arrives in place of a file: pointers of git-lfs, and web pages.

A clone without git-lfs has a pointer of three lines in place of each large file. A server that wants a
password, or whose address is wrong, sends a web page.
"""

from __future__ import annotations

import re

HEAD_BYTES = 512
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/")
_HTML = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body)", re.IGNORECASE)


def is_html(head: bytes) -> bool:
    """Whether the bytes start like a web page."""
    return _HTML.match(head) is not None


def explain_substitute(head: bytes) -> str | None:
    """What the first bytes of a file are in place of it, and how to get it; ``None`` for any other file.

    >>> explain_substitute(b"version https://git-lfs.github.com/spec/v1\\noid sha256:4d7a2146")
    "a git-lfs pointer in place of the file. Run 'git lfs pull' in its folder, or download it"
    """
    if _POINTER.match(head):
        return "a git-lfs pointer in place of the file. Run 'git lfs pull' in its folder, or download it"
    if is_html(head):
        return "a web page in place of the file. Download the file again, from an address that needs no login"
    return None
