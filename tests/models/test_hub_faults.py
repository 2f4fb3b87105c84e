"""Broken connections and malicious Hubs: no wrong file is used or kept, and no token leaks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import onnx
import pytest

from hubclient import NAME, Home, make_files
from hubserver import Faults, HubServer
from tinymodel import make_graph

pytestmark = pytest.mark.slow  # each test starts a process of its own

WEIGHTS = "onnx/model.onnx"
TOKEN = "hf_secretsecretsecret"


def assert_cache_is_intact(home: Home) -> None:
    """Every large file in the cache has the sha256 that it is named after, and no link is broken."""
    for blob in home.blobs():
        if len(blob.name) == 64:
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for link in home.repository.glob("snapshots/**/*"):
        assert link.exists()
    assert not list(home.cache.rglob("*.incomplete"))


def test_a_download_that_is_cut_several_times_is_resumed(hub: HubServer, home: Home, tmp_path: Path) -> None:
    # huggingface_hub writes 10 MiB at a time, so only a larger file can be resumed in the middle.
    large = 10 * 2**20 + 300_000
    graph = make_graph()
    onnx.save(
        graph, tmp_path / "m.onnx", save_as_external_data=True, location="model.onnx_data", size_threshold=0
    )
    files = make_files(tmp_path / "published")
    files = {name: data for name, data in files.items() if not name.endswith(".onnx")}
    files["onnx/model.onnx"] = (tmp_path / "m.onnx").read_bytes()
    data = (tmp_path / "model.onnx_data").read_bytes()
    files["onnx/model.onnx_data"] = data + bytes(large - len(data))
    hub.publish(NAME, files)
    hub.faults.cut_after = [0, 100, 10 * 2**20 + 7, 1000]
    result = home.load()
    assert result["files"][-1] == "onnx/model.onnx_data"
    assert f"bytes={10 * 2**20}-" in [r.range for r in hub.requests("GET")]
    assert_cache_is_intact(home)


def test_after_too_many_broken_connections_the_next_start_finishes_the_download(
    hub: HubServer, home: Home, commit: str
) -> None:
    hub.faults.cut_after = [10] * 6
    result = home.load()
    assert result["error"] == "ModelUnavailable"
    assert WEIGHTS in result["message"]
    assert_cache_is_intact(home)
    assert home.load()["revision"] == commit


def test_wrong_bytes_of_the_right_size_are_deleted_and_fetched_once_more(
    hub: HubServer, home: Home, commit: str
) -> None:
    hub.faults.wrong_bytes = 1
    result = home.load()
    assert result["revision"] == commit
    assert len([r for r in hub.requests("GET") if r.host == "cdn"]) == 2
    assert len([blob for blob in home.blobs() if len(blob.name) == 64]) == 1
    assert_cache_is_intact(home)


def test_wrong_bytes_twice_are_an_error_and_deleted(hub: HubServer, home: Home, commit: str) -> None:
    hub.faults.wrong_bytes = 2
    result = home.load()
    assert result["error"] == "CorruptModel"
    assert WEIGHTS in result["message"]
    assert not [blob for blob in home.blobs() if len(blob.name) == 64]
    assert_cache_is_intact(home)
    assert home.load()["revision"] == commit


def test_a_changed_cached_file_is_deleted_and_fetched_again(hub: HubServer, home: Home, commit: str) -> None:
    weights = Path(home.load()["weights"])
    true = weights.read_bytes()
    weights.resolve().write_bytes(bytes(len(true)))
    assert home.load(local_files_only=True)["error"] == "CorruptModel"
    assert not weights.is_symlink()
    assert home.load(revision=commit)["revision"] == commit
    assert weights.read_bytes() == true
    assert_cache_is_intact(home)


def test_a_checked_file_is_not_hashed_again(hub: HubServer, home: Home, commit: str) -> None:
    weights = Path(home.load()["weights"]).resolve()
    status = weights.stat()
    # With the same size and modification time, only a new hash could reveal this change.
    data = weights.read_bytes()
    weights.write_bytes(data.replace(b"pixel_values", b"pixel_VALUES"))
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert weights.read_bytes() != data
    assert home.load()["revision"] == commit


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(extra_bytes=1000), "CorruptModel"),
        (Faults(missing_bytes=10), "CorruptModel"),
        (Faults(redirect_loop=True), "CorruptModel"),
        (Faults(listed_name="../../../escape.onnx"), "CorruptModel"),
        (Faults(listed_name="/etc/escape.onnx"), "CorruptModel"),
        (Faults(etag="../../../../escape"), "CorruptModel"),
        (Faults(commit_header="f" * 40), "CorruptModel"),
        (Faults(xet_refresh="http://127.0.0.1:9/token"), "CorruptModel"),
        (Faults(garbage=True), "ModelUnavailable"),
        (Faults(status=429), "ModelUnavailable"),
        (Faults(status=403), "ModelAccessDenied"),
    ],
    ids=lambda value: value if isinstance(value, str) else _name(value),
)
@pytest.mark.usefixtures("commit")
def test_a_malicious_or_broken_hub_is_an_error_and_leaves_no_wrong_file(
    hub: HubServer, home: Home, faults: Faults, error: str, tmp_path: Path
) -> None:
    hub.faults = faults
    result = home.load()
    assert result["error"] == error
    assert result["stderr"] == ""
    assert not list(tmp_path.rglob("*escape*"))
    assert_cache_is_intact(home)


def _name(faults: Faults) -> str:
    default = Faults()
    return "-".join(name for name in vars(faults) if getattr(faults, name) != getattr(default, name))


def test_a_branch_that_moves_during_the_download_does_not_mix_files(
    hub: HubServer, home: Home, commit: str, tmp_path: Path
) -> None:
    newer = hub.publish(NAME, make_files(tmp_path / "newer", sharpness=7))
    hub.repositories[NAME].branches["main"] = commit
    hub.faults.move_after_listing = ("main", newer)
    result = home.load()
    assert result["revision"] == commit
    published = hub.repositories[NAME].commits[commit][WEIGHTS]
    assert Path(result["weights"]).read_bytes() == published
    assert home.load()["revision"] == newer
    assert home.load(local_files_only=True)["revision"] == newer


def test_after_a_failed_update_the_old_revision_works_offline(
    hub: HubServer, home: Home, commit: str, tmp_path: Path
) -> None:
    home.load()
    hub.publish(NAME, make_files(tmp_path / "newer", sharpness=7))
    hub.faults.wrong_bytes = 2
    assert home.load()["error"] == "CorruptModel"
    assert home.load(local_files_only=True)["revision"] == commit


def test_no_token_follows_a_redirect_to_another_host(hub: HubServer, home: Home, commit: str) -> None:
    hub.known_tokens.add(TOKEN)
    hub.faults.token_trap = hub.cdn_url
    home.load(token=TOKEN)
    assert {r.authorization for r in hub.requests() if r.host == "hub"} == {f"Bearer {TOKEN}"}
    trapped = [r for r in hub.requests() if r.host == "cdn"]
    assert len(trapped) == 3
    assert {r.authorization for r in trapped} == {None}


@pytest.mark.parametrize("location", ["../../../../secret", "/etc/hostname", "..\\secret"])
def test_weights_outside_of_a_hub_model_are_refused_by_name(
    hub: HubServer, home: Home, tmp_path: Path, location: str
) -> None:
    files = make_files(tmp_path / "published")
    files["onnx/model.onnx"] = make_outside(location)
    hub.publish(NAME, files)
    result = home.load()
    assert result["error"] == "InvalidModel"
    assert location.replace("\\", "\\\\") in result["message"] or location in result["message"]


def test_external_weights_missing_on_the_hub_are_named(hub: HubServer, home: Home, tmp_path: Path) -> None:
    files = make_files(tmp_path / "published")
    files["onnx/model.onnx"] = make_outside("model.onnx_data")
    hub.publish(NAME, files)
    result = home.load()
    assert result["error"] == "ModelFileMissing"
    assert "onnx/model.onnx_data" in result["message"]


def make_outside(location: str) -> bytes:
    """A graph with its weights at this location."""
    graph = make_graph()
    for tensor in graph.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    return bytes(graph.SerializeToString())
