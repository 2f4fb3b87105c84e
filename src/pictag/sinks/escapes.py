r"""Text that a format or a terminal can't take as it is: names that aren't valid text, control characters.

Python represents a file name's undecodable byte 0xE9 as the lone surrogate U+DCE9, which UTF-8 can't encode.
CSV and Parquet files contain ``\udce9`` instead. CSV is often shown on a terminal, so it also has ``\u001b``
for an escape character, and so on for all control characters. To make this reversible, backslashes just
before such a sequence, or before text that looks like one, are doubled; all other backslashes are unchanged.
"""

from __future__ import annotations

import re
from typing import Final

# Control characters, separators of lines, changes of direction.
UNSAFE: Final = "\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSAFE_CODES = "00[01][0-9a-f]|007f|00[89][0-9a-f]|200[ef]|202[89a-e]|206[6-9]"
SURROGATES: Final = "\ud800-\udfff"
_SURROGATE_CODES = "d[89a-f][0-9a-f]{2}"


class Escaping:
    r"""Escapes some characters as ``\uXXXX``, and restores them.

    ``characters`` are those of a class in a regular expression, and ``codes`` matches their numbers.

    >>> NAMES.escape("caf\udce9.jpg"), NAMES.escape("C:\\photos\\a.jpg")
    ('caf\\udce9.jpg', 'C:\\photos\\a.jpg')
    >>> SHOWN_TEXT.escape("\x1b[31mred\n")
    '\\u001b[31mred\\u000a'
    """

    def __init__(self, characters: str, codes: str) -> None:
        self._to_escape = re.compile(rf"(\\*)([{characters}])|(\\+)(?=u(?:{codes}))")
        self._to_restore = re.compile(rf"(\\+)(u(?:{codes}))")

    def escape(self, text: str) -> str:
        """The text with escapes; ordinary text is unchanged."""
        return self._to_escape.sub(_escape, text)

    def restore(self, text: str) -> str:
        """The text that `escape` was given."""
        return self._to_restore.sub(_restore, text)


NAMES: Final = Escaping(SURROGATES, _SURROGATE_CODES)
SHOWN_TEXT: Final = Escaping(SURROGATES + UNSAFE, f"{_SURROGATE_CODES}|{_UNSAFE_CODES}")


def _escape(match: re.Match[str]) -> str:
    backslashes, unsafe, lookalike = match.groups()
    if unsafe is None:
        return str(lookalike) * 2
    return f"{backslashes * 2}\\u{ord(unsafe):04x}"


def _restore(match: re.Match[str]) -> str:
    count, code = len(match[1]), match[2]
    # An odd number of backslashes: the last one belongs to the escape.
    return "\\" * (count // 2) + (chr(int(code[1:], 16)) if count % 2 else code)
