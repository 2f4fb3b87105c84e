"""The concepts and the classes below them."""

from __future__ import annotations

import pytest

from pictag.vocabulary import Concept, read_classes, read_concepts
from pictag.vocabulary.labels import MAX_BYTES

TERMS = (*read_concepts().values(), *read_classes())
EXPECTED = [
    "animal",
    "mammal",
    "bird",
    "dog",
    "cat",
    "big cat",
    "insect",
    "butterfly",
    "reptile",
    "turtle",
    "fish",
    "crustacean",
    "vehicle",
    "car",
    "truck",
    "motorcycle",
    "aircraft",
    "airplane",
    "boat",
    "ship",
    "watercraft",
    "food",
    "fruit",
    "furniture",
    "musical instrument",
    "weapon",
    "computer",
    "electronics",
    "tool",
    "clothing",
    "building",
    "kitchen",
    "sport",
    "landscape",
]


def find(word: str) -> Concept:
    (found,) = (term for term in read_classes() if term.word == word)
    return found


def words_above(word: str) -> set[str]:
    return {term.word for term in find(word).climb()}


def test_every_class_reaches_a_concept() -> None:
    assert [term.word for term in read_classes() if not term.parents] == []
    assert len(read_classes()) == 1000


def test_every_concept_has_a_class() -> None:
    reached = {above.word for term in read_classes() for above in term.climb()}
    assert set(read_concepts()) - reached == set()


@pytest.mark.parametrize("word", EXPECTED)
def test_photographers_find_their_words(word: str) -> None:
    assert word in read_concepts()


def test_no_term_has_a_separator_or_more_than_64_bytes() -> None:
    words = {word for term in TERMS for word in (term.word, *term.synonyms)}
    assert [word for word in words if set(word) & set("|/,;") or len(word.encode()) > MAX_BYTES] == []
    assert [word for word in words if word != word.strip() or not word] == []


def test_two_classes_never_have_the_same_word() -> None:
    words = [term.word.casefold() for term in read_classes()]
    assert len(set(words)) == len(words)


def test_a_class_with_a_concepts_word_is_below_that_concept() -> None:
    strangers = [
        term.word
        for term in read_classes()
        if term.word in read_concepts() and term.word not in term.parents[0].path
    ]
    assert strangers == []


def test_no_path_has_a_word_twice() -> None:
    assert [term.path for term in TERMS if len(set(term.path)) < len(term.path)] == []


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("Labrador retriever", "animal > mammal > dog > retriever > Labrador retriever"),
        ("tabby cat", "animal > mammal > cat > tabby cat"),
        ("tiger", "animal > mammal > wild cat > big cat > tiger"),
        ("crane", "animal > bird > water bird > wading bird > crane"),
        ("construction crane", "machine > construction equipment > construction crane"),
        ("sports car", "vehicle > car > sports car"),
        ("ambulance", "vehicle > emergency vehicle > ambulance"),
        ("banana", "food > fruit > banana"),
        ("espresso", "drink > coffee > espresso"),
        ("grand piano", "music > musical instrument > piano > grand piano"),
        ("seashore", "nature > landscape > coast > seashore"),
        ("daisy", "nature > plant > flower > daisy"),
        ("jay", "animal > bird > songbird > jay"),
        ("sorrel horse", "animal > mammal > horse > sorrel horse"),
    ],
)
def test_paths_are_those_a_photographer_would_take(word: str, path: str) -> None:
    assert " > ".join(find(word).path) == path


@pytest.mark.parametrize(
    ("word", "surprising"),
    [
        ("cup", {"alcohol", "food", "drink"}),
        ("menu", {"food"}),
        ("mushroom", {"food", "vegetable"}),
        ("coyote", {"wolf"}),
        ("American alligator", {"crocodile"}),
        ("hare", {"rabbit"}),
        ("llama", {"camel"}),
        ("seat belt", {"clothing"}),
        ("abacus", {"computer", "machine"}),
        ("website", {"computer"}),
        ("wheelbarrow", {"vehicle"}),
        ("mop", {"medicine"}),
        ("maillot", {"sock"}),
        ("grand piano", {"percussion instrument", "stringed instrument"}),
        ("peacock", {"game bird"}),
        ("apiary", {"building"}),
        ("stone wall", {"fence"}),
        ("amphibious vehicle", {"animal"}),
        ("dog muzzle", {"animal"}),
    ],
)
def test_no_class_reaches_a_surprising_concept(word: str, surprising: set[str]) -> None:
    assert words_above(word) & surprising == set()


def test_a_concept_that_wordnet_does_not_have_has_no_id() -> None:
    assert read_concepts()["kitchen"].id is None
    assert read_concepts()["dog"].id == "n02084071"


def test_ids_are_unique_except_for_a_class_with_its_concepts_word() -> None:
    seen: dict[str, str] = {}
    for term in TERMS:
        if term.id is not None:
            assert seen.setdefault(term.id, term.word) == term.word
