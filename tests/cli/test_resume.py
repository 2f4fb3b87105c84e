"""``pictag classify --resume`` never mixes models or options in one file."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest

from pictag import pipeline
from pictag.cli import main
from pictag.cli.describe import describe_run
from pictag.options import PipelineOptions, ScoringOptions
from pictag.sinks.run_record import read_record
from probegraphs import make_probe
from resultfiles import FORMATS, READERS
from tinymodel import make_image, make_tiny_model

each_format = pytest.mark.parametrize("file_format", FORMATS)


@pytest.fixture(autouse=True)
def _images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PICTAG_MODEL", raising=False)
    for colour in ("red", "green"):
        make_image(tmp_path / "images" / f"{colour}.png", colour)


@each_format
@pytest.mark.parametrize(
    ("option", "named"),
    [
        (["--top-k", "1"], "--top-k 5, but this run has --top-k 1"),
        (["--top-k", "all"], "--top-k 5, but this run has --top-k 'all'"),
        (["--min-score", "0.5"], "--min-score 0.0"),
        (
            ["--function-to-apply", "none"],
            "no function_to_apply, but this run has --function-to-apply 'none'",
        ),
        (["--crop", "whole"], "--crop 'model'"),
        (["--alpha", "white"], "--alpha 'drop'"),
        (["--decode", "fast"], "--decode 'exact'"),
        pytest.param(
            ["--engine", "openvino"],
            "--engine 'onnxruntime (cpu)', but this run has --engine 'openvino (cpu, f32)'",
            marks=pytest.mark.skipif(find_spec("openvino") is None, reason="pip install 'pictag[openvino]'"),
        ),
        (
            ["--dtype", "q8"],
            "--dtype 'fp32', but this run has weights='onnx/model_quantized.onnx', --dtype 'q8'",
        ),
    ],
)
def test_another_option_is_refused_by_name(
    tmp_path: Path, file_format: str, option: list[str], named: str, capfd: pytest.CaptureFixture[str]
) -> None:
    model = str(make_tiny_model(tmp_path / "m", files=("onnx/model.onnx", "onnx/model_quantized.onnx")))
    run = ["classify", "-m", model, "-o", f"run.{file_format}"]
    assert main([*run, "images/red.png"]) == 0
    before = Path(f"run.{file_format}").read_bytes()
    assert main([*run, *option, "--resume", "images"]) == 2
    assert named in capfd.readouterr().err
    assert Path(f"run.{file_format}").read_bytes() == before
    assert main([*run, "--resume", "images"]) == 0
    assert main([*run, *option, "--overwrite", "images"]) == 0
    assert main([*run, *option, "--resume", "images"]) == 0
    assert len(list(READERS[file_format](Path(f"run.{file_format}")))) == 2


def test_options_that_do_not_change_results_may_differ(tiny: str) -> None:
    run = ["classify", "-m", tiny, "-o", "run.csv"]
    assert main([*run, "images/red.png"]) == 0
    changed = ["--threads", "1", "--batch-size", "1", "--max-pixels", "1000", "--timeout", "5", "--offline"]
    assert main([*run, *changed, "--allow-private-urls", "--resume", "images"]) == 0


@each_format
def test_another_model_is_refused_by_name(
    tmp_path: Path, file_format: str, capfd: pytest.CaptureFixture[str]
) -> None:
    one, two = (str(make_tiny_model(tmp_path / name)) for name in ("one", "two"))
    run = ["classify", "-o", f"run.{file_format}"]
    assert main([*run, "-m", one, "images/red.png"]) == 0
    assert main([*run, "-m", two, "--resume", "images"]) == 2
    assert "--model 'one', but this run has --model 'two'. Continue" in capfd.readouterr().err


def test_changed_weights_labels_preprocessing_and_thresholds_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = make_tiny_model(tmp_path / "m")
    run = ["classify", "-m", str(folder), "-o", "run.jsonl", "images"]
    assert main(run) == 0
    preprocessor = json.loads((folder / "preprocessor_config.json").read_text())
    changes: dict[str, Callable[[], object]] = {
        "sha256": lambda: make_tiny_model(folder, sharpness=3.0),
        "labels": lambda: make_tiny_model(folder, labels=("red", "green", "azure")),
        "preprocessing": lambda: (folder / "preprocessor_config.json").write_text(
            json.dumps(preprocessor | {"image_std": [0.25, 0.5, 0.5]})
        ),
        "thresholds": lambda: (folder / "card.json").write_text('{"thresholds": {"red": 0.9}}'),
        "temperature": lambda: (folder / "card.json").write_text('{"temperature": 2}'),
    }
    for name, change in changes.items():
        change()
        assert main([*run, "--resume"]) == 2, name
        assert f"run.jsonl was written with {name}=" in capfd.readouterr().err
        shutil.rmtree(folder)
        make_tiny_model(folder)
        assert main([*run, "--resume"]) == 0


def test_another_output_of_the_graph_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = str(make_probe(tmp_path / "m", "a = Identity(l) b = Neg(l)", "float[n,3] a, float[n,3] b"))
    run = ["classify", "-m", folder, "-o", "run.jsonl", "images", "--model-output-name"]
    assert main([*run, "a"]) == 0
    assert main([*run, "b", "--resume"]) == 2
    assert "--model-output-name 'a', but this run has --model-output-name 'b'" in capfd.readouterr().err
    assert main([*run, "a", "--model-output", "probabilities", "--resume"]) == 2
    assert "outputs='logits', but this run has outputs='probabilities'" in capfd.readouterr().err
    assert main([*run, "a", "--model-output", "logits", "--resume"]) == 0  # as it was found


def test_a_model_may_be_moved_and_named_in_another_way(tmp_path: Path) -> None:
    make_tiny_model(tmp_path / "here" / "m")
    run = ["classify", "-o", "run.jsonl", "images"]
    assert main([*run, "-m", "here/m"]) == 0
    assert main([*run, "-m", str(tmp_path / "here" / "m"), "--resume"]) == 0
    Path("here").rename("there")
    assert main([*run, "-m", "./there/m", "--resume"]) == 0


def test_a_file_of_an_earlier_version_is_continued_with_a_warning(
    tiny: str, capfd: pytest.CaptureFixture[str]
) -> None:
    run = ["classify", "-m", tiny, "-o", "run.jsonl"]
    assert main([*run, "images/red.png"]) == 0
    Path("run.jsonl.meta.json").unlink()
    assert main([*run, "--resume", "images"]) == 0
    assert (
        "pictag: run.jsonl doesn't say which model and options it was written with." in capfd.readouterr().err
    )
    assert len(Path("run.jsonl").read_text().splitlines()) == 2


def test_standard_output_carries_rows_only(tiny: str) -> None:
    assert main(["classify", "-m", tiny, "--format", "jsonl", "images"]) == 0
    assert main(["classify", "-m", tiny, "-o", "table.txt", "images"]) == 0
    assert list(Path.cwd().glob("*.meta.json")) == []


def test_every_option_is_recorded_or_listed_as_one_without_effect(tiny: str) -> None:
    with pipeline(model=tiny) as classifier:
        record = describe_run(classifier)
    names = {field.name for options in (PipelineOptions, ScoringOptions) for field in fields(options)}
    unrecorded = names - set(record)
    assert unrecorded == {
        "all_scores", "always_list", "allow_private_urls", "batch_size", "cache_dir", "compiled_cache",
        "device", "local_files_only", "max_pixels", "mode", "model_file", "output", "progress", "scoring",
        "threads", "timeout_s", "token",
    }  # fmt: skip
    assert json.loads(json.dumps(record)) == record
    assert record["engine"] == "onnxruntime (cpu)"


def test_the_record_of_a_file_names_model_and_weights(tiny: str) -> None:
    assert main(["classify", "-m", tiny, "-o", "run.jsonl", "images"]) == 0
    record = read_record(Path("run.jsonl"), "jsonl")
    assert record is not None
    assert (record["model"], record["weights"], record["dtype"]) == ("tiny", "onnx/model.onnx", "fp32")
    assert len(record["sha256"]) == 64
