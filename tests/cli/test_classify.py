from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest

from pictag.cli import main
from pictag.sinks.csv import read_csv
from pictag.sinks.jsonl import read_jsonl
from pictag.sinks.parquet import read_parquet
from probegraphs import make_probe
from tinymodel import make_graph, make_image


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PICTAG_MODEL", raising=False)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def colours(tmp_path: Path) -> list[str]:
    """red.png, green.png and blue.png in the folder images."""
    return [str(make_image(tmp_path / "images" / f"{c}.png", c)) for c in ("blue", "green", "red")]


def read_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_folder_gives_one_line_per_image_in_order(
    tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "images", "--model", tiny]) == 0
    out, err = capfd.readouterr()
    lines = read_lines(out)
    assert [line["source"] for line in lines] == [
        "images/blue.png",
        "images/green.png",
        "images/red.png",
    ]
    assert [line["labels"][0]["label"] for line in lines] == ["blue", "green", "red"]
    assert [len(line["labels"]) for line in lines] == [3, 3, 3]
    assert err == ""


def test_label_options_affect_the_results(
    tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", colours[0], "-m", tiny, "-k", "1"]) == 0
    assert main(["classify", colours[0], "-m", tiny, "-k", "all", "--min-score", "0.5"]) == 0
    assert main(["classify", colours[0], "-m", tiny, "-k", "all", "--function-to-apply", "none", "-q"]) == 0
    one, likely, raw = read_lines(capfd.readouterr().out)
    assert [e["label"] for e in one["labels"]] == ["blue"]
    assert [e["label"] for e in likely["labels"]] == ["blue"]
    assert raw["labels"][0]["score"] == pytest.approx(2.0)


def test_a_corrupt_image_fails_alone(
    tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("images/cut.png").write_bytes(Path(colours[0]).read_bytes()[:-30])
    Path("images/letter.jpg").write_text("Dear all,")
    assert main(["classify", "images", "missing.png", "--model", tiny]) == 1
    out, err = capfd.readouterr()
    lines = read_lines(out)
    assert {line["source"]: line["error"]["kind"] for line in lines if "error" in line} == {
        "images/cut.png": "CorruptImage",
        "images/letter.jpg": "NotAnImage",
        "missing.png": "ImageNotFound",
    }
    assert sum("labels" in line for line in lines) == 3
    assert len(err.splitlines()) == 3  # each is named on stderr in one line
    assert err.count("missing.png") == 1


def test_quiet_prints_nothing_on_stderr(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "missing.png", "--model", tiny, "--quiet"]) == 1
    out, err = capfd.readouterr()
    assert (out.count("\n"), err) == (1, "")


def test_a_table_has_bars(tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", colours[2], "--model", tiny, "--format", "table"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == colours[2] or colours[2].startswith(lines[0])
    assert "red" in "".join(lines)
    assert "█" in "".join(lines)


@pytest.mark.parametrize(
    ("name", "reader"),
    [
        ("run.jsonl", read_jsonl),
        ("run.csv", read_csv),
        ("run.parquet", read_parquet),
        ("run.ndjson", read_jsonl),
    ],
)
def test_the_name_of_the_output_sets_its_format(
    tiny: str, colours: list[str], name: str, reader: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["classify", "images", "--model", tiny, "--output", name]) == 0
    assert [p.labels[0].label for p in reader(Path(name))] == ["blue", "green", "red"]
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("name", ["run.jsonl", "run.csv", "run.parquet"])
def test_resume_skips_finished_images_and_retries_failed_ones_if_asked(
    tiny: str, colours: list[str], name: str
) -> None:
    reader: Any = {"run.jsonl": read_jsonl, "run.csv": read_csv, "run.parquet": read_parquet}[name]
    Path("images/cut.png").write_text("not yet")
    run = ["classify", "images", "--model", tiny, "--output", name]
    assert main(run) == 1
    make_image(Path("images/cut.png"), "red")
    make_image(Path("images/zebra.png"), "green")
    assert main([*run, "--resume"]) == 1  # what failed before is still failed
    assert [p.source for p in reader(Path(name)) if p.error] == ["images/cut.png"]
    assert main([*run, "--resume", "--retry-failed"]) == 0
    done = {p.source: p.labels[0].label for p in reader(Path(name))}
    assert done == {
        "images/blue.png": "blue",
        "images/green.png": "green",
        "images/red.png": "red",
        "images/zebra.png": "green",
        "images/cut.png": "red",
    }
    assert len(list(reader(Path(name)))) == 5


def test_an_existing_output_is_only_replaced_by_a_run_that_can_start(
    tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("run.csv").write_text("precious")
    run = ["classify", "images", "--model", tiny, "--output", "run.csv"]
    for options, said in (
        ([], "--overwrite"),
        (["--resume"], "run.csv"),
        (["--overwrite", "--model", "no/where", "--offline"], "no/where"),
        (["--overwrite", "--min-score", "nan"], "--min-score nan"),
    ):
        assert main([*run, *options]) == 2
        assert said in capfd.readouterr().err
        assert Path("run.csv").read_text() == "precious"
    assert main([*run, "--overwrite"]) == 0
    assert len(list(read_csv(Path("run.csv")))) == 3


def test_an_empty_output_is_replaced_without_overwrite(tiny: str, colours: list[str]) -> None:
    Path("run.csv").touch()
    assert main(["classify", "images", "--model", tiny, "--output", "run.csv"]) == 0
    assert len(list(read_csv(Path("run.csv")))) == 3


def test_a_list_has_one_name_per_line_or_nul(
    tiny: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_image(tmp_path / "two words.png")
    make_image(tmp_path / "new\nline.png")
    Path("lines").write_bytes(b"two words.png\r\n\n")
    Path("nuls").write_bytes(b"new\nline.png\0two words.png\0")
    assert main(["classify", "--from-file", "lines", "-m", tiny]) == 0
    assert main(["classify", "--from-file", "nuls", "-m", tiny]) == 0
    names = [line["source"] for line in read_lines(capfd.readouterr().out)]
    assert names == ["two words.png", "new\nline.png", "two words.png"]
    assert main(["classify", "--from-file", "no list", "-m", tiny]) == 2
    assert "no list" in capfd.readouterr().err


def test_the_model_may_come_from_the_environment(
    tiny: str, colours: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICTAG_MODEL", tiny)
    assert main(["classify", *colours]) == 0


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["clasify", "a.jpg"], "'classify'"),
        (["classify", "a.jpg", "--modle", "x"], "--model"),
        (["classify"], "Give an image"),
        (["classify", "a.jpg", "-k", "0"], "whole number of at least 1"),
        (["classify", "a.jpg", "-k", "many"], "all"),
        (["classify", "a.jpg", "--batch-size", "0"], "--batch-size"),
        (["classify", "a.jpg", "--format", "xml"], "jsonl"),
        (["classify", "a.jpg", "--precision", "bf16"], "--precision 'bf16' needs --engine 'openvino'"),
        (["classify", "a.jpg", "--model", "dtype=fp32/x.onnx"], "'dtype=fp32/x.onnx'"),
        (["bench", "embedded", "--seconds", "-1"], "--seconds -1.0 is not a number of seconds above 0"),
        (["classify", "a.jpg", "--output", "labels.xls"], "--format"),
        (["classify", "a.jpg", "--format", "parquet"], "--output"),
        (["classify", "a.jpg", "--resume"], "--output"),
        (["classify", "a.jpg", "--retry-failed"], "--resume"),
        (["classify", "a.jpg", "--overwrite"], "--output"),
        (["classify", "a.jpg", "--overwrite", "--output", "-"], "--output"),
        (["classify", "a.jpg", "-o", "a.txt", "--resume"], "table"),
        (["classify", "a.jpg", "-o", "a.csv", "--resume", "--overwrite"], "contradict"),
        (["classify", "a.jpg", "-o", "a.json", "--resume"], "JSON array"),
        (["classify", "a.jpg", "-o", "no/folder/a.csv"], "no/folder"),
        (["classify", "-", "--from-file", "-"], "once"),
        (["classify", "a.jpg", "--model", "./nowhere"], "nowhere"),
        (["classify", "a.jpg", "--model", "no/where", "--offline"], "embedded"),
        (["classify", "a.jpg", "--model", "."], "config.json"),
        (["."], "pictag classify ."),
    ],
)
def test_wrong_usage_is_one_sentence_with_advice(
    arguments: list[str], hint: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert hint in err
    assert err.startswith("pictag: ")
    assert len(err.splitlines()) == 1


def test_the_error_for_a_name_like_an_option_says_how_to_write_it(
    tiny: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_image(tmp_path / "-dash.png")
    assert main(["classify", "-dash.png", "--model", tiny]) == 2
    assert "./-dash.png" in capfd.readouterr().err
    assert main(["classify", "./-dash.png", "--model", tiny]) == 0


@pytest.mark.parametrize("name", [".", "results", "results.csv"])
def test_a_folder_is_rejected_as_output(
    tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str], name: str
) -> None:
    Path(name).mkdir(exist_ok=True)
    assert main(["classify", colours[0], "--model", tiny, "--output", name]) == 2
    assert f"{name} is a folder" in capfd.readouterr().err


def test_debug_shows_the_traceback(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["classify", "a.jpg", "--model", "./nowhere", "--debug"]) == 2
    assert "Traceback" in capfd.readouterr().err
    monkeypatch.setenv("PICTAG_DEBUG", "1")
    assert main(["classify", "a.jpg", "--model", "./nowhere"]) == 2
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_reported(tiny: str, colours: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    for format_ in ("jsonl", "csv", "table"):
        assert main(["classify", "images", "-m", tiny, "-f", format_, "-o", "/dev/full"]) == 74
        assert "No space left" in capfd.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="a file name is text there")
def test_every_file_name_works(tiny: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    names = [
        "-x.png",
        "new\nline.png",
        "[red].png",
        "a b.png",
        "*.png",
        os.fsdecode(b"caf\xe9.png"),
        "--model",
    ]
    image = make_image(tmp_path / "model.png").read_bytes()
    for name in names:
        Path(name).write_bytes(image)
    Path("model.png").unlink()
    assert main(["classify", "-m", tiny, "-o", "run.csv", "--", *names]) == 0
    assert [p.source for p in read_csv(Path("run.csv"))] == names
    assert main(["classify", "-m", tiny, "./-x.png", "."]) == 0
    found = [line["source"] for line in read_lines(capfd.readouterr().out)]
    assert found[0] == "./-x.png"
    assert {os.fsencode(name) for name in found[1:]} == {os.fsencode(f"./{name}") for name in names[:-1]}


def test_control_characters_in_names_are_escaped(
    tiny: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "\x1b[31mred\x9b.png").write_text("no image")
    for format_ in ("table", "jsonl"):
        assert main(["classify", ".", "-m", tiny, "--format", format_]) == 1
    out, err = capfd.readouterr()
    assert not {"\x1b", "\x9b"} & set(out + err)


def test_help_and_version_are_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["--help"]) == 0
    assert main(["classify", "--help"]) == 0
    out = capfd.readouterr().out
    assert "pictag 0" in out
    assert "--min-score" in out


def test_every_option_has_help() -> None:
    from pictag.cli.classify import classify

    for parameter in classify.params[1:]:
        assert getattr(parameter, "help", None), parameter.name


def test_what_is_assumed_about_a_bare_graph_is_said_once(
    tmp_path: Path, colours: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    onnx.save(make_graph(), tmp_path / "net.onnx")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    assert main(["classify", *colours, "-m", "net.onnx"]) == 0
    assert main(["classify", *colours, "-m", "net.onnx", "--quiet"]) == 0
    (tmp_path / "pictag.toml").write_text("crop = 0.875\n")
    assert main(["classify", *colours, "-m", "net.onnx"]) == 0
    err = capfd.readouterr().err
    assert err.startswith("pictag: net.onnx doesn't say how images are preprocessed. pictag assumes: resize")
    assert err.count("\n") == 1


def test_what_the_model_returns_can_be_said(
    tmp_path: Path, colours: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    make_probe(tmp_path / "m", "a = Identity(l) b = Neg(l)", "float[n,3] a, float[n,3] b")
    assert main(["classify", colours[0], "-m", "m"]) == 2
    assert "--model-output-name" in capfd.readouterr().err
    named = ["classify", colours[0], "-m", "m", "--model-output-name", "b", "--model-output", "probabilities"]
    assert main([*named, "-k", "all"]) == 0
    (line,) = read_lines(capfd.readouterr().out)
    assert [entry["score"] for entry in line["labels"]] == pytest.approx([0, 0, -4])
