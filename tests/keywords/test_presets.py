"""Upload files of agencies."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest

from pictag.errors import OptionError
from pictag.keywords import Suggestion
from pictag.keywords.presets import (
    Shot,
    check_shot,
    find_category,
    find_preset,
    find_texts,
    merge_shots,
    read_presets,
    write_csv,
)
from pictag.vocabulary import read_concepts


def make_shot(source: str = "a.jpg", *words: str, **fields: str) -> Shot:
    keywords = tuple(Suggestion(keyword=w, score=0.9, kind="concept", path=(w,)) for w in words)
    return Shot(source=source, keywords=keywords, **fields)  # type: ignore[arg-type]  # titles and such


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("adobe-stock", "Filename,Title,Keywords,Category,Releases"),
        ("shutterstock", "Filename,Description,Keywords,Categories,Illustration,Mature Content,Editorial"),
        ("pond5", "originalfilename,title,description,keywords,copyright,price,editorial"),
    ],
)
def test_the_header_is_the_agencys(name: str, header: str) -> None:
    assert write_csv([], find_preset(name)) == header + "\n"


def test_a_row_has_the_name_the_keywords_and_the_category() -> None:
    shot = make_shot("trip/a, b.jpg", "dog", "animal", title="A dog")
    _, row = read(write_csv([shot], find_preset("adobe-stock")))
    assert row == ["a, b.jpg", "A dog", "dog, animal", "1", ""]


def test_a_row_for_shutterstock_has_its_category_and_flags() -> None:
    shot = make_shot("a.jpg", "dog", "animal", title="A dog")
    _, row = read(write_csv([shot], find_preset("shutterstock")))
    assert row == ["a.jpg", "A dog", "dog, animal", "Animals/Wildlife", "No", "No", "No"]


def test_every_preset_says_where_its_rules_are_from() -> None:
    for name, preset in read_presets().items():
        assert name == "generic" or (preset.source.startswith("https://") and preset.date), name
        assert set(preset.categories) <= set(read_concepts()), name


def test_people_come_first_and_more_than_the_agency_takes_are_left_out() -> None:
    words = [f"word {number}" for number in range(60)]
    shot = Shot(source="a.jpg", keywords=make_shot("a.jpg", *words).keywords, people_keywords=("Reykjavík",))
    _, row = read(write_csv([shot], find_preset("adobe-stock")))
    listed = row[2].split(", ")
    assert len(listed) == 49
    assert listed[:2] == ["Reykjavík", "word 0"]
    assert "at most 49 allowed" in " ".join(check_shot(shot, find_preset("adobe-stock")))


def test_a_keyword_that_a_person_gave_too_is_listed_once() -> None:
    shot = Shot(source="a.jpg", keywords=make_shot("a.jpg", "dog").keywords, people_keywords=("Dog",))
    assert shot.list_keywords() == ["Dog"]


def test_a_preset_warns_and_never_pads() -> None:
    shot = make_shot("a.jpg", *(f"word {number}" for number in range(6)))
    problems = check_shot(shot, find_preset("adobe-stock"))
    assert "6 keywords, 15–35 recommended: add the rest by hand" in problems
    assert "no title" in problems
    assert len(read(write_csv([shot], find_preset("adobe-stock")))[1][2].split(", ")) == 6


@pytest.mark.parametrize(
    ("shot", "problem"),
    [
        (make_shot("x" * 40 + ".jpg"), "the file name has 44 characters, at most 30 allowed"),
        (make_shot(title="a" * 71), "the title has 71 characters, at most 70 allowed"),
        (make_shot(title="a, b"), "the title has a comma, which isn't allowed"),
        (make_shot("a.jpg", "one"), "1 keyword, at least 5 needed: add the rest by hand"),
    ],
)
def test_what_the_agency_would_refuse_is_named(shot: Shot, problem: str) -> None:
    assert problem in check_shot(shot, find_preset("adobe-stock"))


def test_raw_and_jpeg_of_one_shot_are_one_row() -> None:
    shots = [make_shot(f"trip/a.{ending}") for ending in ("CR3", "JPG", "tif")]
    rows = merge_shots([*shots, make_shot("other/a.jpg")])
    assert [row.filename for row in rows] == ["a.JPG", "a.jpg"]


def test_what_people_wrote_about_any_file_of_a_shot_is_kept() -> None:
    raw = make_shot("a.CR3", "cat", title="Rex", description="Rex at home")
    raw = replace(raw, people_keywords=("Rex",), categories=("Animals/Wildlife",))
    jpeg = replace(make_shot("a.jpg", "dog", made_title="a"), people_keywords=("sea", "rex"))
    (shot,) = merge_shots([raw, jpeg])
    assert find_texts(shot, find_preset("pond5")) == {"title": "Rex", "description": "Rex at home"}
    assert shot.list_keywords() == ["sea", "rex", "dog"]
    assert find_category(shot, find_preset("shutterstock").categories) == "Animals/Wildlife"


def test_one_column_for_both_texts_has_the_one_that_a_person_wrote() -> None:
    described = make_shot("a.jpg", description="The old harbour", made_title="trip")
    titled = make_shot("a.jpg", title="Harbour", made_title="trip")
    made = make_shot("a.jpg", made_title="trip")
    shots = [described, titled, made]
    adobe, shutterstock = find_preset("adobe-stock"), find_preset("shutterstock")
    assert [row[1] for row in read(write_csv(shots, adobe))[1:]] == ["The old harbour", "Harbour", "trip"]
    assert [row[1] for row in read(write_csv(shots, shutterstock))[1:]] == [
        "The old harbour",
        "Harbour",
        "trip",
    ]


def test_an_agencys_limit_applies_to_the_column_that_it_has() -> None:
    shot = make_shot("a.jpg", title="Rex", description="a" * 201)
    found = check_shot(shot, find_preset("shutterstock"))
    assert "the description has 201 characters, at most 200 allowed" in found
    assert not [problem for problem in check_shot(shot, find_preset("pond5")) if "allowed" in problem]
    assert "no description" in check_shot(make_shot("a.jpg"), find_preset("shutterstock"))
    assert "no description" not in check_shot(make_shot(title="Rex"), find_preset("shutterstock"))


def test_the_narrowest_concept_with_a_category_decides() -> None:
    entry = Suggestion(keyword="corn", score=0.9, kind="concept", path=("nature", "plant", "corn"))
    shot = Shot(source="a.jpg", keywords=(entry,))
    assert find_category(shot, {"nature": "5", "plant": "14"}) == "14"
    assert find_category(shot, {}) == ""


def test_an_unknown_preset_is_an_error_with_a_suggestion() -> None:
    with pytest.raises(OptionError, match="Did you mean 'adobe-stock'"):
        find_preset("adobe-stok")
