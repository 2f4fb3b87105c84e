"""External data stays inside the model, and the files that pass the check open in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from pictag.engines.onnxruntime import open_session
from pictag.errors import InvalidModel, ModelFileMissing
from pictag.models.external_data import check_external_data, resolve_in_model
from pictag.models.graph_file import read_graph_file
from pictag.options import EngineOptions
from tinymodel import make_graph


def save(folder: Path, location: str = "model.onnx_data") -> Path:
    """A graph with its weights in a file beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    onnx.save(make_graph(), path, save_as_external_data=True, location=location, size_threshold=0)
    return path


def rename(path: Path, location: str) -> None:
    """Let the graph name another file."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())


def check(path: Path) -> tuple[Path, ...]:
    return check_external_data(path, read_graph_file(path).external)


def opens(path: Path) -> bool:
    try:
        open_session(path, EngineOptions(threads=1)).close()
    except InvalidModel:
        return False
    return True


def test_a_file_beside_the_graph_is_found(tmp_path: Path) -> None:
    path = save(tmp_path / "model")
    assert check(path) == (tmp_path / "model" / "model.onnx_data",)
    assert opens(path)


def test_links_of_the_hubs_cache_are_followed_and_open(tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc" / "onnx"
    source = save(tmp_path / "source")
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    for name in ("model.onnx", "model.onnx_data"):
        (source.parent / name).rename(blobs / f"digest-{name}")
        (snapshot / name).symlink_to(f"../../../blobs/digest-{name}")
    path = snapshot / "model.onnx"
    assert check(path) == (snapshot / "model.onnx_data",)
    assert opens(path)
    # The link's target has another name, so the file beside it is only found by opening the link.
    assert not opens(path.resolve())


@pytest.mark.parametrize(
    "location",
    ["../secret.data", "/etc/hostname", "sub/../../secret.data", "..\\secret.data", "C:\\secret", "~/x"],
)
def test_a_name_outside_of_the_model_is_rejected_by_name(tmp_path: Path, location: str) -> None:
    path = save(tmp_path / "model")
    (path.parent / "model.onnx_data").rename(tmp_path / "secret.data")
    rename(path, location)
    with pytest.raises(InvalidModel) as caught:
        check(path)
    assert repr(location) in str(caught.value)
    assert not opens(path)


def test_a_link_to_a_file_outside_is_rejected_by_name(tmp_path: Path) -> None:
    path = save(tmp_path / "model")
    data = path.parent / "model.onnx_data"
    data.rename(tmp_path / "elsewhere.data")
    data.symlink_to(tmp_path / "elsewhere.data")
    with pytest.raises(InvalidModel, match=r"'model\.onnx_data', a link to a file outside"):
        check(path)
    assert not opens(path)


def test_a_link_to_a_folder_outside_is_rejected(tmp_path: Path) -> None:
    path = save(tmp_path / "model")
    (tmp_path / "outside").mkdir()
    (path.parent / "model.onnx_data").rename(tmp_path / "outside" / "w.data")
    (path.parent / "sub").symlink_to(tmp_path / "outside")
    rename(path, "sub/w.data")
    with pytest.raises(InvalidModel, match="outside of the model"):
        check(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "model")
    (path.parent / "model.onnx_data").unlink()
    with pytest.raises(ModelFileMissing, match=r"model\.onnx_data"):
        check(path)


def test_names_are_resolved_from_the_folder_of_the_weights() -> None:
    assert resolve_in_model("onnx/model.onnx", ["w.data", "./v.data"]) == ("onnx/w.data", "onnx/v.data")
    assert resolve_in_model("model.onnx", ["w.data"]) == ("w.data",)
