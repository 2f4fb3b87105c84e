"""Merging keeps what others wrote; removing gives back the bytes from before."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictag.errors import MetadataError
from pictag.metadata.keywords import FileKeywords, Keyword, clean_line, clean_word, meaning, unique
from pictag.metadata.packet import (
    Packet,
    merge_into_packet,
    new_packet,
    parse_packet,
    remove_from_packet,
)
from sidecars import make_sidecar

DOG = [Keyword(("animal", "mammal", "dog")), Keyword(("animal",))]
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
DC = "http://purl.org/dc/elements/1.1/"
WORDS = st.lists(st.text(min_size=1).map(clean_line).filter(bool), max_size=5)
PATHS = st.lists(
    st.lists(st.text(min_size=1).filter(clean_word), min_size=1, max_size=3).map(tuple).map(Keyword),
    min_size=1,
    max_size=6,
)


def packet_of(data: bytes | str) -> Packet:
    return parse_packet(data.encode() if isinstance(data, str) else data, name="a.xmp")


def escaped(words: list[str]) -> list[str]:
    return [word.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") for word in words]


@given(WORDS, WORDS, PATHS, PATHS)
def test_people_keep_their_keywords_and_a_removal_gives_back_the_bytes(
    words: list[str], entries: list[str], first: list[Keyword], second: list[Keyword]
) -> None:
    before = packet_of(make_sidecar(*escaped(words), entries=escaped(entries)))
    assert before.subject == tuple(words)
    merged = merge_into_packet(before, first, owner="keywords")
    again = merge_into_packet(merged, second, owner="keywords")
    assert again.subject[: len(words)] == tuple(words)
    assert again.hierarchical[: len(entries)] == tuple(entries)
    known = {meaning(word) for word in words}
    expected = [k.word for k in second if meaning(k.word) not in known]
    assert again.subject[len(words) :] == unique(expected)
    assert merge_into_packet(again, second, owner="keywords").data == again.data
    assert remove_from_packet(again, owner=None).data == before.data


@given(WORDS, PATHS, PATHS)
def test_owners_replace_and_remove_only_their_own_keywords(
    words: list[str], first: list[Keyword], second: list[Keyword]
) -> None:
    before = packet_of(make_sidecar(*escaped(words)))
    both = merge_into_packet(merge_into_packet(before, first, owner="gallery"), second, owner="keywords")
    for keyword in (*first, *second):
        assert meaning(keyword.word) in {meaning(word) for word in both.subject}
    left = remove_from_packet(both, owner="gallery")
    for keyword in second:
        assert meaning(keyword.word) in {meaning(word) for word in left.subject}
    assert set(left.records) <= {"keywords"}
    assert remove_from_packet(left, owner="keywords").subject == before.subject


def test_real_sidecars_are_the_same_after_a_merge_and_a_removal(shared: Path) -> None:
    paths = sorted((shared / "xmp").glob("*.xmp"))
    assert paths
    for path in paths:
        before = packet_of(path.read_bytes())
        merged = merge_into_packet(before, DOG, owner="keywords")
        assert merged.subject == (*before.subject, "dog", "animal"), path.name
        assert remove_from_packet(merged, owner=None).data == before.data, path.name


def test_a_word_of_people_is_neither_added_nor_removed() -> None:
    before = packet_of(make_sidecar("Dog", "sea"))
    merged = merge_into_packet(before, DOG, owner="keywords")
    assert merged.subject == ("Dog", "sea", "animal")
    assert remove_from_packet(merged, owner="keywords").subject == ("Dog", "sea")


def test_flat_words_of_people_are_in_the_hierarchical_list_too() -> None:
    merged = merge_into_packet(packet_of(make_sidecar("Rex", "sea")), DOG, owner="keywords")
    assert merged.hierarchical == ("Rex", "sea", "animal|mammal|dog")


def test_keywords_of_the_image_come_before_ours() -> None:
    copied = FileKeywords(subject=("Rex", "dog"), hierarchical=("pets|Rex",), ours=("dog",))
    merged = merge_into_packet(new_packet(name="a.xmp"), DOG, owner="keywords", copied=copied)
    assert merged.subject == ("Rex", "dog", "animal")
    assert merged.hierarchical == ("pets|Rex", "animal|mammal|dog")
    assert remove_from_packet(merged, owner="keywords").is_empty


def test_copied_keywords_lose_what_xml_cannot_store() -> None:
    copied = FileKeywords(subject=("R\x01ex\r", "\x02"), hierarchical=("|",))
    merged = merge_into_packet(new_packet(name="a.xmp"), DOG, owner="gallery", copied=copied)
    assert merged.subject == ("Rex", "dog", "animal")
    assert merge_into_packet(merged, DOG, owner="keywords").subject == merged.subject


def test_words_that_people_wrote_after_us_come_before_ours_in_the_next_run() -> None:
    merged = merge_into_packet(packet_of(make_sidecar("sea")), DOG, owner="keywords")
    edited = merged.data.replace(
        b"<rdf:li>animal</rdf:li>", b"<rdf:li>animal</rdf:li><rdf:li>Rex</rdf:li>", 1
    )
    again = merge_into_packet(packet_of(edited), DOG, owner="keywords")
    assert again.subject == ("sea", "Rex", "dog", "animal")


FORMS = {
    "sequence": f'<d:subject xmlns:d="{DC}"><rdf:Seq><rdf:li>sea</rdf:li></rdf:Seq></d:subject>',
    "empty list": f'<dc:subject xmlns:dc="{DC}"><rdf:Bag/></dc:subject>',
    "empty property": f'<dc:subject xmlns:dc="{DC}"/>',
    "single text": f'<dc:subject xmlns:dc="{DC}">sea</dc:subject>',
    "other prefix": f'<s xmlns="{DC}" xmlns:r="{RDF}"><r:x/></s>'
    f'<subject xmlns="{DC}"><r:Bag xmlns:r="{RDF}"><r:li>sea</r:li></r:Bag></subject>',
    "numbered items": f'<dc:subject xmlns:dc="{DC}"><rdf:Bag><rdf:_1>sea</rdf:_1></rdf:Bag></dc:subject>',
    "qualified item": f'<dc:subject xmlns:dc="{DC}"><rdf:Bag><rdf:li rdf:parseType="Resource">'
    '<rdf:value>sea</rdf:value><q xmlns="urn:q">note</q></rdf:li></rdf:Bag></dc:subject>',
    "CDATA and comment": f'<dc:subject xmlns:dc="{DC}"><rdf:Bag><!-- mine -->'
    "<rdf:li><![CDATA[sea]]></rdf:li><!-- end --></rdf:Bag></dc:subject>",
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
@pytest.mark.parametrize("root", ["bare", "wrapped"])
def test_lists_in_every_form_are_extended(form: str, root: str) -> None:
    rdf = f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description about="x">{form}</rdf:Description></rdf:RDF>'
    before = packet_of(rdf if root == "bare" else f'<x:xapmeta xmlns:x="adobe:ns:meta/">{rdf}</x:xapmeta>')
    merged = merge_into_packet(before, DOG, owner="keywords")
    assert merged.subject == (*before.subject, "dog", "animal")
    assert b'rdf:about="x"' in merged.data
    assert remove_from_packet(merged, owner=None).subject == before.subject
    assert b"pictag" not in remove_from_packet(merged, owner=None).data


def test_the_name_of_the_resource_is_copied_exactly() -> None:
    about = "a &quot;b&quot; 'c' &amp; &lt;d&gt;&#9;e&#10;f&#13;g"
    sidecar = packet_of(
        f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description rdf:about="{about}" rdf:x="1"/></rdf:RDF>'
    )
    merged = merge_into_packet(sidecar, DOG, owner="pictag")
    abouts = [item.attributes[(RDF, "about")] for item in packet_of(merged.data).root.children]
    assert abouts == ["a \"b\" 'c' & <d>\te\nf\rg"] * 2


def test_a_list_that_is_an_attribute_becomes_a_list() -> None:
    rdf = (
        f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description xmlns:d="{DC}" d:subject="sea" rdf:about=""/></rdf:RDF>'
    )
    merged = merge_into_packet(packet_of(rdf), DOG, owner="keywords")
    assert merged.subject == ("sea", "dog", "animal")
    assert remove_from_packet(merged, owner=None).subject == ("sea",)


@pytest.mark.parametrize(
    "rdf",
    [
        f'<rdf:RDF xmlns:rdf="{RDF}"/>',
        f'<RDF xmlns="{RDF}"></RDF>',
        f'<r:RDF xmlns:r="{RDF}"><r:Description/></r:RDF>',
    ],
)
def test_a_packet_without_properties_is_extended(rdf: str) -> None:
    merged = merge_into_packet(packet_of(rdf), DOG, owner="keywords")
    assert merged.subject == ("dog", "animal")
    assert remove_from_packet(merged, owner=None).is_empty


@pytest.mark.parametrize("attribute", ["rdf:resource='urn:x'", "rdf:parseType='Collection'"])
def test_a_list_of_unknown_form_is_refused(attribute: str) -> None:
    form = f'<dc:subject xmlns:dc="{DC}" {attribute}></dc:subject>'
    rdf = f'<rdf:RDF xmlns:rdf="{RDF}"><rdf:Description>{form}</rdf:Description></rdf:RDF>'
    with pytest.raises(MetadataError, match="can't extend"):
        merge_into_packet(packet_of(rdf), DOG, owner="keywords")


@pytest.mark.parametrize("data", ["<html/>", "<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"])
def test_xml_without_rdf_is_not_xmp(data: str) -> None:
    with pytest.raises(MetadataError, match="is not XMP"):
        packet_of(data)
