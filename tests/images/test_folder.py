"""Folders and globs give their images in order, and one failure if there are none."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from pictag.errors import ImageNotFound, ImageUnreadable, UnsupportedInput
from pictag.images import Failed, Source, expand
from pictag.images.folder import choose_images


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = """10.jpg 2.JPG a1.png b.webp notes.txt .hidden.jpg image old.tga noext.
        sub/c.gif sub/deep/d.tiff sub/.x.png .secret/e.jpg empty/readme.md raw.dat"""
    for name in names.split():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*values: object, recursive: bool = False) -> list[str]:
    return [
        entry.name.replace(os.sep, "/") if isinstance(entry, Source) else f"! {type(entry.error).__name__}"
        for entry in expand(values, recursive=recursive)
    ]


def test_a_folder_gives_its_images_in_natural_order(tree: Path) -> None:
    assert names(".") == ["./2.JPG", "./10.jpg", "./a1.png", "./b.webp"]
    assert [Path(name) for name in names(tree)] == [tree / n for n in ("2.JPG", "10.jpg", "a1.png", "b.webp")]


def test_recursion_skips_hidden_folders(tree: Path) -> None:
    assert names("./", recursive=True)[4:] == ["./sub/c.gif", "./sub/deep/d.tiff"]
    assert names("sub", recursive=True) == ["sub/c.gif", "sub/deep/d.tiff"]


def test_files_urls_and_values_are_passed_through(tree: Path) -> None:
    mixed = ["notes.txt", Path("2.JPG"), "missing.jpg", "https://example.org/?a=[b]", b"bytes"]
    assert names(*mixed) == ["notes.txt", "2.JPG", "missing.jpg", "https://example.org/?a=[b]", "<bytes>"]


def test_sources_and_failures_are_passed_through() -> None:
    given = [Source(name="a", kind="file", value="a"), Failed(name="b", error=ImageNotFound("b"))]
    assert list(expand(given)) == given


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["10.jpg"]),
        ("*.[jJ][pP][gG]", ["2.JPG", "10.jpg"]),
        ("?1.png", ["a1.png"]),
        ("[!0-9]*.png", ["a1.png"]),
        ("*.dat", ["raw.dat"]),
        (".*.jpg", [".hidden.jpg"]),
        ("./*.webp", ["./b.webp"]),
        ("s*/c.gif", ["sub/c.gif"]),
        ("s*", ["sub/c.gif"]),
        ("**/*.tiff", ["sub/deep/d.tiff"]),
        ("**/*.gif", ["sub/c.gif"]),
        ("**/deep/*", ["sub/deep/d.tiff"]),
        ("sub/**", ["sub/c.gif", "sub/deep/d.tiff"]),
        ("[ab]*", ["a1.png", "b.webp"]),
    ],
)
def test_a_glob_gives_what_matches(tree: Path, pattern: str, expected: list[str]) -> None:
    assert names(pattern) == expected
    assert names(Path(pattern)) == [name.removeprefix("./") for name in expected]


def test_a_glob_without_extension_gives_only_images(tree: Path) -> None:
    assert names("[!e]*") == ["2.JPG", "10.jpg", "a1.png", "b.webp", "sub/c.gif"]


def test_an_absolute_glob_stays_absolute(tree: Path) -> None:
    assert names(f"{tree}/*.webp") == [f"{tree}/b.webp"]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(tree: Path) -> None:
    Path("a[1].png").touch()
    assert names("a[1].png") == ["a[1].png"]


@pytest.mark.parametrize("nothing", ["*.xyz", "empty", "no/*.jpg", "**/*.xyz", "a[1"])
def test_an_input_without_images_is_one_failure(tree: Path, nothing: str) -> None:
    assert names(nothing, "10.jpg") == ["! ImageNotFound", "10.jpg"]


def test_a_failure_names_its_input(tree: Path) -> None:
    (failed,) = expand(["empty"])
    assert isinstance(failed, Failed)
    assert failed.name == "empty"
    assert "recursive" in str(failed.error)


def test_an_unsupported_value_fails_alone(tree: Path) -> None:
    failed, good = expand([5, "10.jpg"])
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, UnsupportedInput)
    assert isinstance(good, Source)


def test_circular_links_are_read_once(tree: Path) -> None:
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "sub" / "again").symlink_to(tree / "sub" / "deep")
    assert len(names(".", recursive=True)) == 6
    assert names("**/*.tiff") == ["sub/deep/d.tiff"]


def test_a_broken_link_is_listed(tree: Path) -> None:
    (tree / "sub" / "gone.jpg").symlink_to("nowhere.jpg")
    assert names("sub") == ["sub/c.gif", "sub/gone.jpg"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_folder_is_a_failure(tree: Path) -> None:
    (tree / "sub").chmod(0)
    (failed,) = expand(["sub"])
    (tree / "sub").chmod(0o755)
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ImageUnreadable)


def test_a_folder_deleted_meanwhile_is_a_failure(tree: Path) -> None:
    entries = expand(["sub"], recursive=True)
    assert isinstance(next(entries), Source)
    (tree / "sub/deep/d.tiff").unlink()
    (tree / "sub/deep").rmdir()
    assert [type(entry) for entry in entries] == [Failed]


def test_inputs_are_read_lazily(tree: Path) -> None:
    def endless() -> Iterator[str]:
        while True:
            yield "10.jpg"

    assert len(list(islice(expand(endless()), 5))) == 5


def test_names_that_are_not_utf8_are_listed(tree: Path) -> None:
    try:
        (tree / "caf\udce9.jpg").touch()
    except (OSError, UnicodeError):
        pytest.skip("this file system takes no such names")
    assert "./caf\udce9.jpg" in names(".")


def test_a_number_of_hundreds_of_digits_is_sorted(tree: Path) -> None:
    (tree / ("9" * 200 + ".jpg")).touch()
    assert names(".")[2] == f"./{'9' * 200}.jpg"


def test_folders_may_be_nested_deeply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    deep = Path(*["d"] * 150)
    deep.mkdir(parents=True)
    (deep / "x.jpg").touch()
    depth = len(inspect.stack())
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + 75)  # less than the folders' depth
    try:
        found = names("d", recursive=True), names("**/x.*")
    finally:
        sys.setrecursionlimit(limit)
    assert found == ([f"{deep.as_posix()}/x.jpg"], [f"{deep.as_posix()}/x.jpg"])


def test_images_are_chosen_evenly_from_the_whole_folder(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}.png").touch()
    chosen = choose_images(tmp_path, count=5, recursive=False)
    assert [Path(entry.name).name for entry in chosen] == ["0.png", "2.png", "4.png", "6.png", "8.png"]
    assert len(choose_images(tmp_path, count=64, recursive=False)) == 10
    assert len(choose_images(tmp_path / "[1-3].png", count=64, recursive=False)) == 3


def test_a_choice_includes_subfolders_on_request(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a.png").touch()
    with pytest.raises(ImageNotFound, match="no images"):
        choose_images(tmp_path, count=5, recursive=False)
    assert len(choose_images(tmp_path, count=5, recursive=True)) == 1


def test_a_missing_folder_to_choose_from_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageNotFound, match="missing doesn't exist"):
        choose_images(tmp_path / "missing", count=5, recursive=False)
