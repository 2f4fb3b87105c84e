"""Sidecars as other programs and attackers write them."""

from __future__ import annotations

from collections.abc import Sequence

HOSTILE = {
    "entities": b'<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]><a>&b;</a>',
    "entity of a file": b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    "entity of an address": b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:9/">]><a>&x;</a>',
    "parameter entity": b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/"> %x;]><a/>',
    "external DOCTYPE": b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a/>',
    "undeclared entity": b"<a>&x;</a>",
    "deep nesting": b"<a>" * 5_000 + b"</a>" * 5_000,
    "many elements": b"<r>" + b"<a/>" * 60_000 + b"</r>",
    "100 MB": b"<a>" + b" " * 100_000_000 + b"</a>",
    "UTF-16": "<a/>".encode("utf-16"),
    "UTF-32": "<a/>".encode("utf-32"),
    "Latin-1": "<a>é</a>".encode("latin-1"),
    "declared Latin-1": b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>',
    "declared UTF-7": b'<?xml version="1.0" encoding="UTF-7"?><a/>',
    "surrogates": b"<a>\xed\xa0\x80</a>",
    "overlong UTF-8": b"<a>\xc0\xaf</a>",
    "unclosed": b"<a><b></a>",
    "two roots": b"<a/><b/>",
    "unbound prefix": b"<x:a/>",
    "repeated attribute": b"<a b='1' b='2'/>",
    "NUL": b"<a>\0</a>",
    "truncated": b"<a",
    "empty": b"",
    "not XML": b"\xff\xd8\xff\xe0",
}


def make_sidecar(*words: str, entries: Sequence[str] = (), extra: str = "") -> bytes:
    """A sidecar as another program writes it."""

    def bag(name: str, values: Sequence[str]) -> str:
        items = "".join(f"\n     <rdf:li>{value}</rdf:li>" for value in values)
        return f"\n   <{name}>\n    <rdf:Bag>{items}\n    </rdf:Bag>\n   </{name}>" if values else ""

    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Other">\n'
        ' <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n'
        '  <rdf:Description rdf:about=""\n    xmlns:dc="http://purl.org/dc/elements/1.1/"\n'
        '    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"\n    xmlns:xmp="http://ns.adobe.com/xap/1.0/"\n'
        f'   xmp:Rating="3">{extra}{bag("dc:subject", words)}{bag("lr:hierarchicalSubject", entries)}\n'
        "  </rdf:Description>\n </rdf:RDF>\n</x:xmpmeta>\n"
    ).encode()
