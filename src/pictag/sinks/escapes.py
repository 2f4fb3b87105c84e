r"""File names that aren't valid text, in formats that can only hold valid text.

Python represents a file name's undecodable byte 0xE9 as the lone surrogate U+DCE9, which UTF-8 can't encode.
CSV and Parquet files contain ``\udce9`` instead. To make this reversible, backslashes just before such a
sequence, or before text that looks like one, are doubled; all other backslashes are unchanged.
"""

from __future__ import annotations

import re

_TO_ESCAPE = re.compile(r"(\\*)([\ud800-\udfff])|(\\+)(?=ud[89a-f][0-9a-f]{2})")
_TO_RESTORE = re.compile(r"(\\+)(ud[89a-f][0-9a-f]{2})")


def escape_name(name: str) -> str:
    r"""The name as text that UTF-8 can encode; ordinary names are unchanged.

    >>> escape_name("caf\udce9.jpg"), escape_name("C:\\photos\\a.jpg")
    ('caf\\udce9.jpg', 'C:\\photos\\a.jpg')
    """
    return _TO_ESCAPE.sub(_escape, name)


def restore_name(text: str) -> str:
    r"""The name that `escape_name` was given.

    >>> restore_name("caf\\udce9.jpg") == "caf\udce9.jpg"
    True
    """
    return _TO_RESTORE.sub(_restore, text)


def _escape(match: re.Match[str]) -> str:
    backslashes, surrogate, lookalike = match.groups()
    if surrogate is None:
        return str(lookalike) * 2
    return f"{backslashes * 2}\\u{ord(surrogate):04x}"


def _restore(match: re.Match[str]) -> str:
    count, code = len(match[1]), match[2]
    # An odd number of backslashes: the last one belongs to the escape.
    return "\\" * (count // 2) + (chr(int(code[1:], 16)) if count % 2 else code)
