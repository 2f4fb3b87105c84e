"""``pictag models``: folders in this process, the Hub's cache in a process of its own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from hubclient import NAME, Home, make_files
from hubserver import HubServer
from pictag.cli import main
from probegraphs import make_probe
from tinymodel import make_graph, make_tiny_model


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with HubServer() as hub:
        hub.publish(NAME, make_files(tmp_path / "published"))
        yield Home(hub=hub, cache=tmp_path / "home")


def run(home: Home, *arguments: str, answer: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
    """``pictag models …`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "pictag", "models", *arguments],
        env=home.environment(environ),
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def inspect(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["models", "inspect", *arguments]) == 0
    return capsys.readouterr().out


def test_a_model_is_downloaded_listed_verified_and_removed(home: Home) -> None:
    commit = next(iter(home.hub.repositories[NAME].commits))
    home.hub.faults.cut_after = [10]  # huggingface_hub's warning about the retry isn't shown
    done = run(home, "download", NAME)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{NAME} at {commit[:12]}: onnx/model.onnx" in done.stdout
    assert "3 labels" in done.stdout

    listed = json.loads(run(home, "list", "--format", "json").stdout)
    row = next(row for row in listed if row["name"] == NAME)
    assert (row["revision"], row["branches"]) == (commit, ["main"])
    assert row["weights"] == ["onnx/model.onnx"]
    assert row["size"] > 500
    assert row["last_used"].startswith("20")

    verified = run(home, "verify", NAME)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert [line.split()[1] for line in verified.stdout.splitlines()[1:]] == ["ok", "ok", "ok"]

    kept = run(home, "remove", NAME, answer="n\n")
    assert kept.returncode == 0
    assert "Nothing was removed" in kept.stderr
    removed = run(home, "remove", NAME, "--yes")
    assert removed.returncode == 0
    assert "freed" in removed.stdout
    assert not home.repository.exists()
    assert NAME not in run(home, "list").stdout


def test_verify_deletes_a_changed_file_and_download_fetches_it_again(home: Home) -> None:
    run(home, "download", NAME)
    weights = next(home.repository.glob("snapshots/*/onnx/model.onnx"))
    state, data = weights.stat(), weights.read_bytes()
    weights.resolve().write_bytes(bytes(len(data)))
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))  # like a disk error
    verified = run(home, "verify", NAME, "--format", "json")
    assert verified.returncode == 1
    checks = {check["path"]: check for check in json.loads(verified.stdout)}
    assert checks["onnx/model.onnx"]["state"] == "wrong"
    assert checks["onnx/model.onnx"]["expected"] == hashlib.sha256(data).hexdigest()
    assert checks["config.json"]["state"] == "ok"
    assert not weights.is_symlink()
    assert run(home, "download", NAME).returncode == 0
    assert weights.read_bytes() == data
    assert run(home, "verify", NAME).returncode == 0


def test_verify_says_that_it_needs_the_hub(home: Home) -> None:
    run(home, "download", NAME)
    ended = run(home, "verify", NAME, HF_HUB_OFFLINE="1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Verification needs the Hub's checksums" in ended.stderr


def test_one_revision_is_removed_and_the_other_stays(home: Home, tmp_path: Path) -> None:
    first = home.hub.repositories[NAME].branches["main"]
    second = home.hub.publish(NAME, make_files(tmp_path / "second", sharpness=9), branch="next")
    run(home, "download", NAME)
    run(home, "download", f"{NAME}@next")
    assert run(home, "remove", f"{NAME}@{second}", "--yes").returncode == 0
    listed = json.loads(run(home, "list", "--format", "json").stdout)
    assert [row["revision"] for row in listed if row["name"] == NAME] == [first]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["download", "org/nothing"], "org/nothing doesn't exist on "),
        (["verify", "org/nothing"], "not in the cache"),
        (["remove", "org/nothing", "--yes"], "not in the cache"),
        (["inspect", NAME, "--offline"], "'embedded' and 'efficientnet-lite0'"),
    ],
)
def test_a_missing_model_is_one_sentence_and_status_2(home: Home, arguments: list[str], part: str) -> None:
    ended = run(home, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert part in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_inspect_shows_the_choice_the_steps_the_graph_and_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_tiny_model(
        tmp_path / "m",
        labels=tuple(f"colour {i}" for i in range(8)),
        files=("onnx/model.onnx", "onnx/model_quantized.onnx"),
    )
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    out = inspect(capsys, str(folder))
    for part in (
        "licence        mit",
        "onnx/model.onnx: fp32 is preferred to q8 on a CPU",
        "preprocessing  1. resize to 8×8 (bilinear)",
        "               2. multiply by 1/255",
        "graph input    pixel_values float32 [?, 3, 8, 8]",
        "graph output   logits float32 [?, 8]",
        "scores         logits: logits, because the graph ends in MatMul",
        "problem type   single_label_classification",
        "colour 4",
        "and 3 more (--labels shows all)",
    ):
        assert part in out
    assert "colour 5" not in out
    assert "colour 7" in inspect(capsys, str(folder), "--labels")


def test_inspect_prints_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_tiny_model(tmp_path / "m")
    card: dict[str, Any] = json.loads(inspect(capsys, str(folder), "--format", "json"))
    assert card["labels"] == ["red", "green", "blue"]
    assert card["weights"] == "onnx/model.onnx"
    assert card["graph"]["outputs"][0]["name"] == "logits"
    assert card["files"][0] == {
        "path": "config.json",
        "size": (folder / "config.json").stat().st_size,
        "sha256": None,
    }


def test_inspect_says_what_the_scores_are_and_how_that_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nodes, weights = "p = Softmax(l) y = Mul(p, one)", {"one": np.float32(1)}
    folder = str(make_probe(tmp_path / "m", nodes, weights=weights))
    assert "y: probabilities, because its scores of three test images sum to 1" in inspect(capsys, folder)
    card = json.loads(inspect(capsys, folder, "--format", "json"))
    assert (card["output_name"], card["outputs"]) == ("y", "probabilities")
    assert "three test images" in card["outputs_why"]
    assert "y: logits, because output= says so" in inspect(capsys, folder, "--model-output", "logits")
    (tmp_path / "m" / "card.json").write_text('{"output": "logits"}')
    assert f"y: logits, because {tmp_path / 'm' / 'card.json'} says so" in inspect(capsys, folder)


def test_inspect_lists_the_outputs_that_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(make_probe(tmp_path / "m", "a = Identity(l) b = Neg(l)", "float[n,3] a, float[n,3] b"))
    shown = inspect(capsys, folder)
    assert "graph output   a float32 [?, 3]" in shown
    assert "Several outputs of the graph may have the scores" in shown
    assert "b: logits, because the graph ends in MatMul" in inspect(
        capsys, folder, "--model-output-name", "b"
    )


def test_inspect_says_what_is_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(make_graph(), tmp_path / "net.onnx")
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")
    assert "assumed        net.onnx doesn't say how images are preprocessed" in inspect(
        capsys, str(tmp_path / "net.onnx")
    )


def test_inspect_reports_a_graph_that_contradicts_the_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_tiny_model(tmp_path / "m")
    onnx.save(make_graph(labels=5), folder / "onnx" / "model.onnx")
    assert "scores 5 labels, but the model's files name 3" in inspect(capsys, str(folder))


def test_terminal_escapes_in_labels_and_names_are_shown_as_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_tiny_model(tmp_path / "m", labels=("red\x1b[2J", "two\nlines", "\u202egreen"))
    (folder / "README.md").write_text("---\nlicense: mit\x1b]0;title\x07\n---\n")
    out = inspect(capsys, str(folder))
    assert not any(ord(c) < 32 and c != "\n" for c in out)
    assert "\u202e" not in out
    assert "red\\x1b[2J" in out
    assert "two\\nlines" in out


def test_verify_says_that_a_folder_has_no_checksums(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_tiny_model(tmp_path / "m")
    assert main(["models", "verify", str(folder)]) == 0
    captured = capsys.readouterr()
    assert "unknown" in captured.out
    assert "no card.json with checksums" in captured.err


def test_the_embedded_model_has_the_checksums_of_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", "embedded"]) == 0
    assert "ok" in capsys.readouterr().out


def test_a_folder_cannot_be_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_tiny_model(tmp_path / "m")
    assert main(["models", "remove", str(folder), "--yes"]) == 2
    assert "so it cannot be removed" in capsys.readouterr().err
    assert (folder / "config.json").is_file()
