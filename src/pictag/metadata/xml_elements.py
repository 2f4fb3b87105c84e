"""An XML document as elements that know their byte positions, read by the standard library's Expat.

Attacks that are refused: a DOCTYPE (its entities expand to gigabytes, or name files and addresses), more than
`MAX_BYTES`, deep nesting, and a flood of small elements. Expat itself never opens a file or an address.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pyexpat import ExpatError, ParserCreate

from pictag.errors import MetadataError, shorten

MAX_BYTES = 16 * 2**20
_MAX_DEPTH = 100
_MAX_ELEMENTS = 50_000
_START_TAG = re.compile(rb"""<(?P<name>[^\s/>]++)(?:[^"'>]++|"[^"]*+"|'[^']*+')*+>""")

Name = tuple[str, str]
"""Namespace and local name; the namespace is empty where there is none."""


@dataclass(slots=True, kw_only=True)
class Element:
    """An element and its byte positions: ``start:inner`` the start tag, ``inner:inner_end`` the content."""

    name: Name
    attributes: dict[Name, str]
    start: int
    tag: bytes
    inner_end: int = 0
    end: int = 0
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def inner(self) -> int:
        """Where the content starts."""
        return self.start + len(self.tag)

    @property
    def is_self_closing(self) -> bool:
        """Whether it is written ``<name/>``."""
        return self.tag.endswith(b"/>")

    @property
    def raw_name(self) -> bytes:
        """The name with its prefix, as in the file."""
        match = _START_TAG.match(self.tag)
        assert match
        return match["name"]


def parse_xml(data: bytes, *, name: str) -> Element:
    """The root element. Raises `MetadataError`; ``name`` is the file's, for the message."""
    if len(data) > MAX_BYTES:
        raise MetadataError(f"{shorten(name)} has {len(data):,} bytes; the limit for XMP is {MAX_BYTES:,}.")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refuse(name, f"it is not UTF-8 (byte {error.start:,})") from error
    parser = ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    stack: list[Element] = []
    roots: list[Element] = []
    count = 0

    def declare(version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "UTF8", "US-ASCII"):
            raise _refuse(name, f"it declares the encoding {shorten(encoding)}, not UTF-8")

    def refuse_doctype(*_: object) -> None:
        raise _refuse(name, "it has a DOCTYPE, which XMP doesn't allow")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(stack) >= _MAX_DEPTH:
            raise _refuse(name, f"it is nested more than {_MAX_DEPTH} levels deep")
        if count > _MAX_ELEMENTS:
            raise _refuse(name, f"it has more than {_MAX_ELEMENTS:,} elements")
        at = parser.CurrentByteIndex
        match = _START_TAG.match(data, at)
        assert match  # Expat has found the tag well-formed
        element = Element(
            name=_split(tag),
            attributes={_split(key): value for key, value in attributes.items()},
            start=at,
            tag=match[0],
        )
        (stack[-1].children if stack else roots).append(element)
        stack.append(element)

    def end(tag: str) -> None:
        element = stack.pop()
        element.inner_end = element.end = element.inner
        if not element.is_self_closing:
            element.inner_end = parser.CurrentByteIndex
            element.end = data.index(b">", element.inner_end) + 1

    def characters(text: str) -> None:
        stack[-1].texts.append(text)

    parser.XmlDeclHandler = declare
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = characters
    try:
        parser.Parse(data, True)
    except ExpatError as error:
        raise _refuse(name, f"it is not well-formed XML ({error})") from error
    return roots[0]


def _split(name: str) -> Name:
    namespace, _, local = name.rpartition(" ")
    return namespace, local


def _refuse(name: str, problem: str) -> MetadataError:
    return MetadataError(f"{shorten(name)} is refused as XMP: {problem}. The file is unchanged.")
