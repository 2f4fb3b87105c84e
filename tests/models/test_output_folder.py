"""The output folder is replaced as a whole."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from pictag.models.output_folder import put_in_place


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
def test_a_replaced_folder_keeps_its_permissions(tmp_path: Path) -> None:
    output, made = tmp_path / "int8", tmp_path / "staging" / "model"
    output.mkdir(mode=0o700)
    made.mkdir(parents=True)
    (made / "config.json").touch()
    put_in_place(made, output)
    assert stat.S_IMODE(output.stat().st_mode) == 0o700
    assert [path.name for path in output.iterdir()] == ["config.json"]
