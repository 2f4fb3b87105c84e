"""A Hub whose connection breaks, or that lies: nothing wrong is used or kept, and no token goes elsewhere."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from hubclient import NAME, Home, make_files
from hubserver import Faults, HubServer
from tinymodel import make_graph

WEIGHTS = "onnx/model_quantized.onnx"
TOKEN = "hf_secretsecretsecret"


@pytest.fixture
def hub() -> Iterator[HubServer]:
    with HubServer() as server:
        yield server


@pytest.fixture
def home(hub: HubServer, tmp_path: Path) -> Home:
    return Home(hub=hub, cache=tmp_path / "home")


@pytest.fixture
def commit(hub: HubServer, tmp_path: Path) -> str:
    return hub.publish(NAME, make_files(tmp_path / "published"))


def assert_cache_is_true(home: Home) -> None:
    """Every large file in the cache has the digest that it is named after, and every link leads somewhere."""
    for blob in home.blobs():
        if len(blob.name) == 64:
            assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    for link in home.repository.glob("snapshots/**/*"):
        assert link.exists()
    assert not list(home.cache.rglob("*.incomplete"))


def test_a_connection_cut_at_several_points_is_taken_up_again(
    hub: HubServer, home: Home, tmp_path: Path
) -> None:
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
    assert result["stderr"] == ""
    assert f"bytes={10 * 2**20}-" in [r.range for r in hub.requests("GET")]
    assert_cache_is_true(home)


def test_a_connection_that_always_breaks_ends_and_the_next_start_finishes(
    hub: HubServer, home: Home, commit: str
) -> None:
    hub.faults.cut_after = [10] * 6
    result = home.load()
    assert result["error"] == "ModelUnavailable"
    assert WEIGHTS in result["message"]
    assert_cache_is_true(home)
    assert home.load()["revision"] == commit


def test_the_right_size_with_wrong_bytes_is_set_aside_and_fetched_once_more(
    hub: HubServer, home: Home, commit: str
) -> None:
    hub.faults.wrong_bytes = 1
    result = home.load()
    assert result["revision"] == commit
    assert len([r for r in hub.requests("GET") if r.host == "cdn"]) == 2
    assert len(list((home.repository / ".pictag" / "set-aside").iterdir())) == 1
    assert_cache_is_true(home)


def test_wrong_bytes_twice_are_a_corrupt_model_and_not_kept(hub: HubServer, home: Home, commit: str) -> None:
    hub.faults.wrong_bytes = 2
    result = home.load()
    assert result["error"] == "CorruptModel"
    assert WEIGHTS in result["message"]
    assert_cache_is_true(home)
    assert home.load()["revision"] == commit


def test_a_cached_file_that_changed_is_noticed_and_fetched_anew(
    hub: HubServer, home: Home, commit: str
) -> None:
    weights = Path(home.load()["weights"])
    true = weights.read_bytes()
    weights.resolve().write_bytes(bytes(len(true)))
    assert home.load(local_files_only=True)["error"] == "CorruptModel"
    assert home.load(revision=commit)["revision"] == commit
    assert weights.read_bytes() == true
    assert_cache_is_true(home)


def test_a_checked_file_is_not_hashed_again(hub: HubServer, home: Home, commit: str) -> None:
    weights = Path(home.load()["weights"]).resolve()
    state = weights.stat()
    # The same size and time of change: only a second look at the bytes could tell.
    data = bytearray(weights.read_bytes())
    weights.write_bytes(bytes(data))
    os.utime(weights, ns=(state.st_atime_ns, state.st_mtime_ns))
    ledger = next((home.repository / ".pictag").glob("*.json"))
    before = ledger.stat().st_mtime_ns
    assert home.load()["revision"] == commit
    assert ledger.stat().st_mtime_ns == before


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
def test_a_hub_that_lies_is_refused_and_leaves_nothing_wrong(
    hub: HubServer, home: Home, faults: Faults, error: str, tmp_path: Path
) -> None:
    hub.faults = faults
    result = home.load()
    assert result["error"] == error
    assert result["stderr"] == ""
    assert not list(tmp_path.rglob("*escape*"))
    assert_cache_is_true(home)


def _name(faults: Faults) -> str:
    default = Faults()
    return "-".join(name for name in vars(faults) if getattr(faults, name) != getattr(default, name))


def test_a_revision_that_moves_in_the_middle_mixes_nothing(
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


def test_a_failed_update_leaves_the_old_revision_for_offline_use(
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
def test_weights_that_lead_out_of_a_hub_model_are_refused_by_name(
    hub: HubServer, home: Home, tmp_path: Path, location: str
) -> None:
    files = make_files(tmp_path / "published")
    files["onnx/model_quantized.onnx"] = make_outside(location)
    hub.publish(NAME, files)
    result = home.load()
    assert result["error"] == "InvalidModel"
    assert location.replace("\\", "\\\\") in result["message"] or location in result["message"]


def test_weights_that_the_hub_does_not_have_are_named(hub: HubServer, home: Home, tmp_path: Path) -> None:
    files = make_files(tmp_path / "published")
    files["onnx/model_quantized.onnx"] = make_outside("model.onnx_data")
    hub.publish(NAME, files)
    result = home.load()
    assert result["error"] == "ModelFileMissing"
    assert "onnx/model.onnx_data" in result["message"]


def make_outside(location: str) -> bytes:
    """A graph whose weights lie where it says."""
    graph = make_graph()
    for tensor in graph.graph.initializer:
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=location)
    return bytes(graph.SerializeToString())
