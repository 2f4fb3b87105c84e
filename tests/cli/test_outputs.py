"""Where results go: formats, files that exist, links, devices, and disks that are full."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pictag.cli import main
from resultfiles import NO_PYARROW, READERS
from tinymodel import make_image

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="devices, pipes and permissions of POSIX")
PARQUET = pytest.param("parquet", marks=NO_PYARROW)


@pytest.fixture(autouse=True)
def _images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PICTAG_MODEL", raising=False)
    for colour in ("red", "green"):
        make_image(tmp_path / "images" / f"{colour}.png", colour)
    (tmp_path / "images" / "letter.png").write_text("Dear all,")


def test_the_format_json_is_one_array(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", "images", "-m", tiny, "--format", "json", "-q"]) == 1
    rows = json.loads(capfd.readouterr().out)
    assert main(["classify", "images", "-m", tiny, "--format", "jsonl", "-q"]) == 1
    assert rows == [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert main(["classify", "images", "-m", tiny, "-o", "run.json", "-q"]) == 1
    assert json.loads(Path("run.json").read_text()) == rows


def test_an_array_without_images_is_empty(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("none").touch()
    assert main(["classify", "--from-file", "none", "-m", tiny, "--format", "json"]) == 0
    assert json.loads(capfd.readouterr().out) == []


def test_a_json_file_can_be_replaced_but_not_resumed(tiny: str, capfd: pytest.CaptureFixture[str]) -> None:
    run = ["classify", "images/red.png", "-m", tiny, "-o", "run.json"]
    assert main(run) == 0
    assert main(run) == 2
    assert capfd.readouterr().err == "pictag: run.json already exists. Use --overwrite to replace it.\n"
    assert main([*run, "--resume"]) == 2
    assert "--resume continues a jsonl, csv or parquet file, not one JSON array" in capfd.readouterr().err
    assert main([*run, "--overwrite"]) == 0


@posix_only
@pytest.mark.parametrize("format_", ["csv", "json", "jsonl", "table"])
def test_control_characters_are_escaped_in_every_format(
    tiny: str, format_: str, capfd: pytest.CaptureFixture[str]
) -> None:
    Path("\x1b[31mred\x9b\r\n.png").write_text("no image")
    assert main(["classify", ".", "-m", tiny, "--format", format_]) == 1
    out, err = capfd.readouterr()
    assert not {"\x1b", "\x9b", "\r"} & set(out + err)
    assert "x1b[31mred" in out if format_ == "table" else "u001b[31mred" in out


@posix_only
@NO_PYARROW
@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
def test_parquet_is_not_written_to_a_pipe_or_device(
    tiny: str, options: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe")
    Path("null").symlink_to("/dev/null")
    for name in ("pipe", "null", "/dev/null"):
        run = ["classify", "images/red.png", "-m", tiny, "-f", "parquet", "-o", name, *options]
        assert main(run) == 2
        assert f"pictag: {name} is not a regular file, and Parquet can't" in capfd.readouterr().err
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@posix_only
@pytest.mark.parametrize("format_", ["jsonl", "csv", PARQUET])
def test_links_and_permissions_stay(tiny: str, format_: str) -> None:
    Path("disk").mkdir()
    link, target = Path(f"run.{format_}"), Path(f"disk/run.{format_}")
    link.symlink_to(target)
    run = ["classify", "images", "-m", tiny, "-q", "-o", str(link)]
    assert main(run) == 1
    target.chmod(0o600)
    for options in (["--resume"], ["--resume", "--retry-failed"], ["--overwrite"]):
        assert main([*run, *options]) == 1
        assert link.is_symlink()
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        assert len(list(READERS[format_](target))) == 3


@NO_PYARROW
def test_the_rows_of_a_killed_run_are_not_replaced_silently(
    tiny: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ["classify", "images/red.png", "-m", tiny, "-o"]
    assert main([*run, "killed.jsonl"]) == 0
    for name in ("killed.jsonl", "killed.jsonl.meta.json"):  # as a killed run leaves them
        Path(name).rename(name.replace("killed.jsonl", "run.parquet.unfinished.jsonl"))
    assert main([*run, "run.parquet"]) == 2
    said = capfd.readouterr().err
    assert said.startswith(
        "pictag: An earlier run ended before run.parquet was finished; its results are in "
    )
    assert said.endswith(
        "run.parquet.unfinished.jsonl. Use --resume to continue it or --overwrite to start again.\n"
    )
    assert main([*run, "run.parquet", "--resume", "images/green.png"]) == 0
    assert [p.source for p in READERS["parquet"](Path("run.parquet"))] == [
        "images/red.png",
        "images/green.png",
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "classify --help", "models list", "models inspect MODEL --format json"]
    + [f"classify images -m MODEL -q -f {name}" for name in ("jsonl", "json", "csv", "table")],
)
def test_standard_output_on_a_full_disk_is_status_74(tiny: str, command: str) -> None:
    words = [tiny if word == "MODEL" else word for word in command.split()]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "pictag", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 74, done.stderr
    assert "No space left on device" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@posix_only
@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", PARQUET])
def test_a_file_on_a_full_disk_keeps_whole_rows(tiny: str, tmp_path: Path, format_: str) -> None:
    for number in range(60):
        make_image(tmp_path / "many" / f"{number:02}.png")

    def fill_disk() -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    name = f"run.{format_}"
    run = [sys.executable, "-m", "pictag", "classify", "many", "-m", tiny, "-o", name]
    done = subprocess.run(run, preexec_fn=fill_disk, capture_output=True, text=True, check=False)
    assert done.returncode == 74, done.stderr
    assert "File too large" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    if format_ == "json":
        assert 0 < len(json.loads(Path(name).read_text())) < 60
        return
    assert subprocess.run([*run, "--resume"], check=False).returncode == 0
    assert len({p.source for p in READERS[format_](Path(name))}) == 60


@posix_only
@pytest.mark.parametrize("format_", ["jsonl", "json", "csv", "table", PARQUET])
def test_a_name_that_the_system_refuses_is_an_output_error(
    tiny: str, format_: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("n" * 250 + "ame" * 5, "images/red.png/run"):
        assert main(["classify", "images/red.png", "-m", tiny, "-f", format_, "-o", name]) in (2, 74)
        said = capfd.readouterr().err
        assert "report it" not in said
        assert name[:100] in said
