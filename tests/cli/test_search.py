"""``pictag search``: from the arguments to the lines."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from libraries import Entry, make_library
from pictag.cli import main
from pictag.cli.search import point_at
from pictag.errors import QueryError

Run = Callable[..., int]
ODD = "/photos/trip\n/r\udce9x.jpg"


@pytest.fixture
def library(tmp_path: Path) -> Path:
    entries = [
        Entry(path="/photos/dog.jpg", scores={"dog": 0.9, "pet": 0.91}),
        Entry(path="/photos/tom.png", scores={"cat": 0.8, "dog": 0.25}, type="png"),
        Entry(path=ODD, scores={"dog": 0.5}, pixels=b"0" * 32),
    ]
    make_library(tmp_path / "gallery.db", entries).close()
    return tmp_path / "gallery.db"


@pytest.fixture
def run(library: Path) -> Run:
    return lambda *arguments: main(["search", "--library", str(library), *arguments])


def test_a_row_for_each_image(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("label:dog", "-k", "1") == 0
    output = capfd.readouterr()
    assert json.loads(output.out) == {
        "path": "/photos/dog.jpg",
        "score": 0.9,
        "labels": [
            {"label": "pet", "score": 0.91, "kind": "concept"},
            {"label": "dog", "score": 0.9, "kind": "concept"},
        ],
    }
    assert output.err == "pictag: 1 of 3 images. Use -k 3 for all.\n"


def test_paths_are_written_byte_for_byte(library: Path) -> None:
    command = [sys.executable, "-m", "pictag", "search", "--library", str(library), "label:dog", "-q"]
    for option, end in ((["-0"], b"\0"), (["--format", "paths"], b"\n")):
        done = subprocess.run([*command, *option], stdout=subprocess.PIPE, check=True, timeout=60)
        assert done.stdout == end.join(
            (b"/photos/dog.jpg", b"/photos/trip\n/r\xe9x.jpg", b"/photos/tom.png", b"")
        )


def test_control_characters_of_a_name_are_escaped_in_rows_and_tables(
    run: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run('"r x"', "label:dog", "score:0.5") == 0
    assert run("in:trip*", "--format", "jsonl") == 0
    assert json.loads(capfd.readouterr().out.splitlines()[0])["path"] == ODD
    assert run("in:trip*", "--format", "table") == 0
    assert "/photos/trip\\n/r\\udce9x.jpg" in capfd.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("-label:cat", "label:dog"),
        ("label:dog", "-label:cat"),
        ("label:dog", "-skunk", "-tom"),  # -k and -q are options, -skunk is a word
        ("-k5", "label:dog", "--", "-label:cat"),
        ("label:dog -label:cat",),
    ],
)
def test_arguments_that_are_not_options_belong_to_the_query(
    run: Run, arguments: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--format", "paths", *arguments) == 0
    lines = capfd.readouterr().out.splitlines()
    assert "/photos/dog.jpg" in lines
    assert "/photos/tom.png" not in lines


def test_an_unknown_long_option_is_an_error(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("dog", "--formt", "table") == 2
    assert "Did you mean '--format'?" in capfd.readouterr().err


@pytest.mark.parametrize("option", ["-k", "--format", "--library"])
def test_an_option_without_its_value_is_an_error(
    run: Run, capfd: pytest.CaptureFixture[str], option: str
) -> None:
    assert run("dog", option) == 2
    assert f"{option} needs a value." in capfd.readouterr().err


def test_an_error_in_the_query_points_at_its_place(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("dog", "lable:cat") == 2
    first, query, pointer = capfd.readouterr().err.splitlines()
    assert first.startswith("pictag: Unknown key 'lable:'. Did you mean 'label'?")
    assert query == "  dog lable:cat"
    assert pointer == "      ^^^^^^"


def test_the_pointer_fits_wide_characters_and_long_queries() -> None:
    query = "旅行" * 50 + " lable:x " + "y" * 100
    line, pointer = point_at(QueryError("", query=query, start=101, end=107))
    assert line.startswith("  …")
    assert line.endswith("…")
    assert pointer.count("^") == len("lable:")
    assert len(pointer) == 2 + 1 + 2 * 39 + 1 + 6  # each of the 39 wide characters before it takes two cells


def test_nothing_found_is_said_and_is_no_failure(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("hamster", "--format", "table") == 0
    output = capfd.readouterr()
    assert (output.out, output.err) == ("", "pictag: No image matches.\n")


def test_a_table_has_scores_and_labels(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("label:dog", "--format", "table") == 0
    head, first, *_ = capfd.readouterr().out.splitlines()
    assert head.split() == ["score", "image", "labels"]
    assert first.split(maxsplit=2) == ["90%", "/photos/dog.jpg", "dog 90%, pet 91%"]  # the narrower one first


def test_null_bytes_are_for_paths(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("dog", "-0", "--format", "jsonl") == 2
    assert "-0 works only with --format paths" in capfd.readouterr().err


def test_a_missing_library_says_how_to_make_one(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "dog", "--library", str(tmp_path / "none.db")]) == 2
    assert "pictag index FOLDER" in capfd.readouterr().err
