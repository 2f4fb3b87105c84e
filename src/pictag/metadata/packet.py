"""Keywords in an XMP packet: bytes in, bytes out, without files.

A packet is edited as bytes: list items are inserted and cut at the positions that the parser reports, so
everything else stays as it is: comments, prefixes, order, padding. Trees such as lxml's lose some of that
when they are written, and lxml would add 5 MB to the installation.

What pictag has added is recorded in its own namespace, per owner and list, in an ``rdf:Description`` of its
own: ``pictag:keywordsSubject`` and ``pictag:keywordsHierarchicalSubject`` for the owner ``keywords``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from pictag.errors import MetadataError, shorten
from pictag.metadata.keywords import (
    FileKeywords,
    Keyword,
    identity,
    levels,
    meaning,
    missing_entries,
    missing_words,
    storable,
    without,
)
from pictag.metadata.xml_elements import Element, Name, parse_xml

TOOLKIT = "pictag"
"""``x:xmptk`` of the packets that pictag has created."""
_NAMESPACE = "http://ns.pictag/xmp/1.0/"  # a name, not an address
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_XMP_META = "adobe:ns:meta/"
DC = "http://purl.org/dc/elements/1.1/"
_LR = "http://ns.adobe.com/lightroom/1.0/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_SUBJECT: Name = (DC, "subject")
_HIERARCHICAL: Name = (_LR, "hierarchicalSubject")
_EXTENSION: Name = (PHOTOSHOP, "SidecarForExtension")
_LANGUAGE: Name = ("http://www.w3.org/XML/1998/namespace", "lang")
_CONTAINERS = {(_RDF, "Bag"), (_RDF, "Seq"), (_RDF, "Alt")}

SUBJECT, HIERARCHICAL, IPTC = "Subject", "HierarchicalSubject", "Iptc"
"""The lists of keywords, as the names of their records end. IPTC is not in the packet, but its record is."""
_LISTS = (_SUBJECT, SUBJECT, "dc:subject"), (_HIERARCHICAL, HIERARCHICAL, "lr:hierarchicalSubject")
_RECORD = re.compile(rf"([a-z]+)({SUBJECT}|{HIERARCHICAL}|{IPTC})")
_ATTRIBUTE = re.compile(rb"""\s+(?P<name>[^\s=]+)\s*=\s*(?P<value>"[^"]*"|'[^']*')""")

Edit = tuple[int, int, bytes]
"""Start and end of the bytes to replace, and what replaces them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A parsed packet: its bytes, and what they say.

    ``name`` is the file's, for messages. ``records`` says what pictag has added: owner → list (`SUBJECT`,
    `HIERARCHICAL`, `IPTC`) → words. ``extension`` is that of the image that a sidecar belongs to, if the
    packet says so.
    """

    data: bytes
    root: Element
    name: str
    subject: tuple[str, ...]
    hierarchical: tuple[str, ...]
    records: Mapping[str, Mapping[str, tuple[str, ...]]]
    toolkit: str
    extension: str | None
    is_empty: bool
    """Whether it has no properties, except ``extension``."""

    def recorded(self, which: str, owners: Iterable[str] | None = None) -> tuple[str, ...]:
        """The words of one list that pictag has added, for all owners or some."""
        names = self.records if owners is None else [o for o in owners if o in self.records]
        return tuple({identity(w): w for o in names for w in self.records[o].get(which, ())}.values())

    def texts(self, name: Name) -> tuple[str, ...]:
        """The values of a property; of alternative languages, the default one comes first."""
        return _texts(_descriptions(self.root), name)

    def keywords(self) -> FileKeywords:
        """The keywords, and which of them are pictag's."""
        return FileKeywords(
            subject=self.subject,
            hierarchical=self.hierarchical,
            ours=self.recorded(SUBJECT),
            our_hierarchical=self.recorded(HIERARCHICAL),
        )


def new_packet(*, name: str, extension: str | None = None) -> Packet:
    """A packet without properties, except the extension of the image that it belongs to."""
    return replace(_parse_new(extension), name=name)


@cache
def _parse_new(extension: str | None) -> Packet:
    belongs = ""
    if extension is not None:
        belongs = (
            f'  <rdf:Description rdf:about="" xmlns:photoshop="{PHOTOSHOP}"\n'
            f"    photoshop:SidecarForExtension={_quote(extension)}/>\n"
        )
    text = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
        f'<x:xmpmeta xmlns:x="{_XMP_META}" x:xmptk="{TOOLKIT}">\n'
        f' <rdf:RDF xmlns:rdf="{_RDF}">\n{belongs} </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'
    )
    return parse_packet(text.encode(), name="a new packet")


def parse_packet(data: bytes, *, name: str) -> Packet:
    """The packet in these bytes. Raises `MetadataError`."""
    root = parse_xml(data, name=name)
    if not any(element.name == (_RDF, "RDF") for element in (root, *root.children)):
        raise MetadataError(f"{shorten(name)} is not XMP: it has no rdf:RDF element. The file is unchanged.")
    descriptions = _descriptions(root)
    records: dict[str, dict[str, tuple[str, ...]]] = {}
    for description in descriptions:
        for child in description.children:
            if record := _record(child):
                records.setdefault(record[1], {})[record[2]] = tuple(map(_value, _items(child)))
    extension = _texts(descriptions, _EXTENSION)
    return Packet(
        data=data,
        root=root,
        name=name,
        subject=_texts(descriptions, _SUBJECT),
        hierarchical=_texts(descriptions, _HIERARCHICAL),
        records=records,
        toolkit=root.attributes.get((_XMP_META, "xmptk"), ""),
        extension=extension[0] if extension else None,
        is_empty=not any(d.children or _properties(d) - {_EXTENSION} for d in descriptions),
    )


def merge_into_packet(
    packet: Packet,
    keywords: Sequence[Keyword],
    *,
    owner: str,
    copied: FileKeywords | None = None,
    iptc: Sequence[str] = (),
) -> Packet:
    """The packet with the owner's keywords in place of those of an earlier run.

    People's keywords come first in their order, then ours. A word that is already there isn't added. With
    ``copied``, people's keywords from another place are added too, and recorded as ours. ``iptc`` is recorded
    as what the owner adds to IPTC. Raises `MetadataError` for a packet whose lists can't be extended.
    """
    packet = remove_from_packet(packet, owner=owner)
    if not keywords:
        return packet
    copied = FileKeywords() if copied is None else copied
    people = filter(None, map(storable, without(copied.subject, copied.ours)))
    copied_subject = missing_words(people, packet.subject)
    subject = (*packet.subject, *copied_subject)
    copied_entries = missing_words(without(copied.hierarchical, copied.our_hierarchical), packet.hierarchical)
    entries = (*packet.hierarchical, *copied_entries)
    added = {
        SUBJECT: (*copied_subject, *missing_words([k.word for k in keywords], subject)),
        HIERARCHICAL: (*copied_entries, *missing_entries(keywords, subject=subject, entries=entries)),
    }
    # What another owner has added already belongs to both.
    words = {meaning(keyword.word) for keyword in keywords}
    recorded = {
        which: (
            *(w for w in packet.recorded(which) if words & set(map(meaning, levels([w])[-1:]))),
            *added[which],
        )
        for which in added
    }
    recorded[IPTC] = (*(w for w in packet.recorded(IPTC) if meaning(w) in words), *iptc)
    return _add(packet, owner=owner, added=added, recorded=recorded)


def remove_from_packet(packet: Packet, *, owner: str | None) -> Packet:
    """The packet without what pictag has added for an owner, or for all owners if it is None."""
    kept = [] if owner is None else [other for other in packet.records if other != owner]
    going = [other for other in packet.records if other not in kept]
    descriptions = _descriptions(packet.root)
    cut: dict[int, Element] = {}  # by start
    for list_name, which, _ in _LISTS:
        dropped = Counter(map(identity, without(packet.recorded(which, going), packet.recorded(which, kept))))
        for child in reversed(_named(descriptions, list_name)):
            items = _items(child)
            for item in reversed(items):
                word = identity(_value(item))
                if dropped[word]:
                    dropped[word] -= 1
                    cut[item.start] = item
            if items and all(item.start in cut for item in items):
                cut[child.start] = child
    for description in descriptions:
        for child in description.children:
            record = _record(child)
            if child.name[0] == _NAMESPACE and (owner is None or (record and record[1] == owner)):
                cut[child.start] = child
        is_emptied = description.children and all(child.start in cut for child in description.children)
        if is_emptied and not _properties(description):
            cut[description.start] = description
    edits = [_cut(packet.data, element) for element in cut.values()]
    if edits and not kept:
        edits += _cut_declarations([packet.root, _rdf(packet.root), *descriptions])
    return _edit(packet, edits)


def _add(
    packet: Packet, *, owner: str, added: Mapping[str, Sequence[str]], recorded: Mapping[str, Sequence[str]]
) -> Packet:
    """The packet with words appended to its lists, and with a record of those that belong to the owner."""
    data, name = packet.data, packet.name
    descriptions = _descriptions(packet.root)
    edits: list[Edit] = []
    block: list[str] = []
    for list_name, which, qualified in _LISTS:
        words = list(added[which])
        existing = _named(descriptions, list_name)
        if words and existing:
            edits.append(_extend(data, existing[-1], words, name=name))
        elif words:
            owners = [d for d in descriptions if list_name in d.attributes]  # a list of one, as an attribute
            edits += [_cut_attribute(d, list_name, file=name) for d in owners]
            block.append(_property(qualified, [*(d.attributes[list_name] for d in owners), *words]))
    block += [_property(f"pictag:{owner}{which}", words) for which, words in recorded.items() if words]
    if block:
        edits.append(_add_block(packet, block))
    after = _edit(packet, edits)
    expected = (*packet.subject, *added[SUBJECT]), (*packet.hierarchical, *added[HIERARCHICAL])
    if (after.subject, after.hierarchical) != expected:
        raise MetadataError(f"{shorten(name)} stores its keywords in a form that pictag can't extend.")
    return after


def _record(element: Element) -> re.Match[str] | None:
    return _RECORD.fullmatch(element.name[1]) if element.name[0] == _NAMESPACE else None


def _descriptions(root: Element) -> list[Element]:
    return [element for element in _rdf(root).children if element.name == (_RDF, "Description")]


def _rdf(root: Element) -> Element:
    return next(element for element in (root, *root.children) if element.name == (_RDF, "RDF"))


def _properties(description: Element) -> set[Name]:
    """The properties that an rdf:Description has as attributes."""
    return {name for name in description.attributes if name[0] not in ("", _RDF)}


def _named(descriptions: Iterable[Element], name: Name) -> list[Element]:
    return [child for description in descriptions for child in description.children if child.name == name]


def _texts(descriptions: Iterable[Element], name: Name) -> tuple[str, ...]:
    """The values of a property: of its list, of a single text, or of an attribute."""
    found: list[str] = []
    for description in descriptions:
        found.append(description.attributes.get(name, ""))
        for child in _named([description], name):
            items = sorted(_items(child), key=_is_translation)
            found += map(_value, items or [child])
    return tuple(word for word in found if word)


def _is_translation(item: Element) -> bool:
    return item.attributes.get(_LANGUAGE, "").lower() != "x-default"


def _items(element: Element) -> list[Element]:
    return [
        item
        for container in element.children
        if container.name in _CONTAINERS
        for item in container.children
        if item.name[0] == _RDF
    ]


def _value(element: Element) -> str:
    """An item's text; an item with qualifiers has it in an rdf:value."""
    inner = [element, *element.children]
    inner += [grandchild for child in element.children for grandchild in child.children]
    values = [e for e in inner if e.name == (_RDF, "value")] or [element]
    return "".join(values[0].texts).strip()


def _extend(data: bytes, element: Element, words: Sequence[str], *, name: str) -> Edit:
    """Append items to an existing list, in the layout of its items."""
    containers = [child for child in element.children if child.name in _CONTAINERS]
    if containers:
        container = containers[-1]
        prefix = container.raw_name.decode().removesuffix(container.name[1])
        items = container.children
        space = _space_before(data, items[-1].start) if items else b""
        new = b"".join(space + f"<{prefix}li>{_escape(word)}</{prefix}li>".encode() for word in words)
        if not container.is_self_closing:
            at = items[-1].end if items else container.inner
            return at, at, new
        return container.start, container.end, _opened(container) + new + _end_tag(container)
    if element.children or element.attributes:
        raise MetadataError(f"{shorten(name)} stores its keywords in a form that pictag can't extend.")
    text = data[element.inner : element.inner_end]
    old = b"<rdf:li>" + text + b"</rdf:li>" if "".join(element.texts).strip() else b""
    new = "".join(f"<rdf:li>{_escape(word)}</rdf:li>" for word in words).encode()
    bag = f'<rdf:Bag xmlns:rdf="{_RDF}">'.encode() + old + new + b"</rdf:Bag>"
    return element.start, element.end, _opened(element) + bag + _end_tag(element)


def _add_block(packet: Packet, properties: Sequence[str]) -> Edit:
    """Add an rdf:Description of our own at the end of the rdf:RDF element."""
    rdf = _rdf(packet.root)
    attributes = [item for d in _descriptions(packet.root) for item in d.attributes.items()]
    abouts = [value for key, value in attributes if key in ((_RDF, "about"), ("", "about"))]
    declared = "" if rdf.raw_name.startswith(b"rdf:") else f' xmlns:rdf="{_RDF}"'
    block = (
        f"\n  <rdf:Description rdf:about={_quote(abouts[0] if abouts else '')}{declared}\n"
        f'    xmlns:dc="{DC}"\n    xmlns:lr="{_LR}"\n    xmlns:pictag="{_NAMESPACE}">'
        + "".join(properties)
        + "\n  </rdf:Description>"
    ).encode()
    if rdf.is_self_closing:
        return rdf.start, rdf.end, _opened(rdf) + block + b"\n" + _end_tag(rdf)
    at = rdf.children[-1].end if rdf.children else rdf.inner
    return at, at, block


def _escape(text: str) -> str:
    # xml.sax.saxutils has the same function, but importing it loads urllib.request, http.client and ssl.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _quote(value: str) -> str:
    """An attribute's value with its quotes. Parsers read unescaped line breaks and tabs as spaces."""
    escapes = str.maketrans({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
    return f'"{_escape(value).translate(escapes)}"'


def _property(name: str, words: Iterable[str]) -> str:
    items = "".join(f"\n     <rdf:li>{_escape(word)}</rdf:li>" for word in words)
    return f"\n   <{name}>\n    <rdf:Bag>{items}\n    </rdf:Bag>\n   </{name}>"


def _cut(data: bytes, element: Element) -> Edit:
    """Cut an element with the space before it, with which it was added."""
    return element.start - len(_space_before(data, element.start)), element.end, b""


def _cut_attribute(element: Element, name: Name, *, file: str) -> Edit:
    found = [m for m in _ATTRIBUTE.finditer(element.tag) if m["name"].endswith(b":" + name[1].encode())]
    if len(found) != 1:
        raise MetadataError(f"{shorten(file)} stores its keywords in a form that pictag can't extend.")
    return element.start + found[0].start(), element.start + found[0].end(), b""


def _cut_declarations(elements: Iterable[Element]) -> list[Edit]:
    """Cut our namespace from elements of others, to which programs that rewrite a packet move it."""
    return [
        (element.start + match.start(), element.start + match.end(), b"")
        for element in elements
        for match in _ATTRIBUTE.finditer(element.tag)
        if match["name"].startswith(b"xmlns:") and match["value"][1:-1] == _NAMESPACE.encode()
    ]


def _space_before(data: bytes, at: int) -> bytes:
    """The white space between the end of a tag and this position."""
    start = at
    while data[start - 1 : start] in (b" ", b"\t", b"\r", b"\n"):
        start -= 1
    return data[start:at] if data[start - 1 : start] == b">" else b""


def _opened(element: Element) -> bytes:
    """The start tag, not self-closing."""
    return element.tag.removesuffix(b"/>").removesuffix(b">") + b">"


def _end_tag(element: Element) -> bytes:
    return b"</" + element.raw_name + b">"


def _edit(packet: Packet, edits: Sequence[Edit]) -> Packet:
    """Make all edits; one inside another is contained in it."""
    if not edits:
        return packet
    result = bytearray()
    done = 0
    for start, end, new in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if start < done:
            continue
        result += packet.data[done:start] + new
        done = end
    return parse_packet(bytes(result + packet.data[done:]), name=packet.name)
