"""Who takes part, and that whoever is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.contestants import PEERS, enter_all
from benchmarks.material import ModelSet

WHY = {"torch": "run `make peers`", "onnx": "no export", "int8": "`pictag quantize` failed"}


def test_what_is_missing_is_named_with_what_to_do(tmp_path: Path) -> None:
    models = ModelSet(name="toy", onnx=None, torch=None, int8=None, why_missing=WHY)
    field = enter_all(models, tmp_path, decode="exact", limit="multiply")
    assert {contestant.family for contestant in field.contestants} == {"limit"}
    assert field.left_out["transformers"] == "run `make peers`"
    assert field.left_out["pictag float, onnxruntime"] == "no export"
    assert field.left_out["pictag int8, openvino"] == "`pictag quantize` failed"
    assert field.left_out["transformers.js"]


def test_transformers_js_is_left_out_where_there_is_no_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    models = ModelSet(name="toy", onnx=tmp_path, torch=None, int8=None, why_missing=WHY)
    field = enter_all(models, tmp_path, decode="exact", limit="steps")
    assert field.left_out["transformers.js"] == "needs Node 20 or newer"


def test_each_of_pictags_settings_runs_beside_the_limit_of_its_steps(tmp_path: Path) -> None:
    models = ModelSet(name="toy", onnx=tmp_path, torch=None, int8=tmp_path, why_missing={})
    field = enter_all(models, tmp_path, decode="fast", limit="steps")
    ours = {c.name: c for c in field.contestants if c.family == "pictag"}
    limits = {c.name for c in field.contestants if c.family == "limit"}
    assert {"pictag float, onnxruntime", "pictag int8, onnxruntime"} <= set(ours)
    assert limits == {f"limit of {name}" for name in ours}
    assert all('"decode": "fast"' in contestant.command[-1] for contestant in ours.values())


def test_the_peers_are_pinned() -> None:
    assert '"@huggingface/transformers": "4.' in (PEERS / "package.json").read_text(encoding="utf-8")
