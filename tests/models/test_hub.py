"""Models from the Hub, with the real huggingface_hub client and a Hub on loopback."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import onnx
import pytest

from hubclient import NAME, Home, finish, make_files
from hubserver import HubServer
from tinymodel import make_graph

pytestmark = pytest.mark.slow  # each test starts a process of its own

TOKEN = "hf_secretsecretsecret"


def test_the_first_start_downloads_with_progress_and_prints_nothing(
    hub: HubServer, home: Home, commit: str
) -> None:
    hub.repositories[NAME].licence = "apache-2.0"
    result = home.load()
    assert result["labels"] == ["red", "green", "blue"]
    assert result["revision"] == commit
    assert (result["dtype"], result["licence"], result["stderr"]) == ("fp32", "apache-2.0", "")
    assert result["files"] == ["config.json", "preprocessor_config.json", "onnx/model.onnx"]
    size = len(hub.repositories[NAME].commits[commit]["onnx/model.onnx"])
    assert ["onnx/model.onnx", 0, size] in result["progress"]
    assert ["onnx/model.onnx", size, size] in result["progress"]


def test_only_the_needed_files_are_requested(hub: HubServer, home: Home, commit: str) -> None:
    home.load()
    assert [r.path for r in hub.requests("GET") if r.host == "hub"] == [
        f"/api/models/{NAME}/revision/main",
        f"/{NAME}/resolve/{commit}/config.json",
        f"/{NAME}/resolve/{commit}/preprocessor_config.json",
    ]
    assert [r.path for r in hub.requests() if r.host == "cdn"] == [f"/{NAME}/{commit}/onnx/model.onnx"]


def test_a_pinned_commit_starts_without_a_request(hub: HubServer, home: Home, commit: str) -> None:
    first = home.load(revision=commit)
    hub.forget()
    second = home.load(revision=commit)
    assert hub.requests() == []
    assert second["weights"] == first["weights"]
    assert second["progress"] == []


def test_a_branch_costs_one_request_once_it_is_cached(hub: HubServer, home: Home, commit: str) -> None:
    home.load()
    hub.forget()
    assert home.load()["revision"] == commit
    assert [r.path for r in hub.requests()] == [f"/api/models/{NAME}/revision/main"]


@pytest.mark.parametrize("offline", [{"env": {"HF_HUB_OFFLINE": "1"}}, {"local_files_only": True}])
def test_offline_uses_the_cache_without_a_request(
    hub: HubServer, home: Home, commit: str, offline: dict[str, Any]
) -> None:
    home.load()
    hub.forget()
    result = home.load(**offline)
    assert result["revision"] == commit
    assert hub.requests() == []


def test_offline_with_only_other_weights_cached_names_both(home: Home, commit: str) -> None:
    home.load(dtype="q8")
    result = home.load(local_files_only=True)
    assert result["error"] == "ModelUnavailable"
    assert "onnx/model_quantized.onnx" in result["message"]
    assert "onnx/model.onnx" in result["message"]


@pytest.mark.parametrize(
    ("deleted", "arguments", "missing"),
    [
        ("onnx/*", {}, "onnx/model*.onnx"),
        ("onnx/*", {"dtype": "q8"}, "onnx/model_quantized.onnx"),
        ("none", {"dtype": "q8"}, "onnx/model_quantized.onnx"),
        ("none", {"model_file": "onnx/other.onnx"}, "onnx/other.onnx"),
        ("config.json", {}, "config.json"),
        ("preprocessor_config.json", {}, "preprocessor_config.json"),
        ("m.data", {}, "onnx/m.data"),
    ],
)
def test_a_cache_with_only_a_part_of_a_model_says_what_is_missing_and_how_to_get_it(
    home: Home, tmp_path: Path, deleted: str, arguments: dict[str, Any], missing: str
) -> None:
    files = make_files(tmp_path / "published")
    graph = tmp_path / "m.onnx"
    onnx.save(make_graph(), graph, save_as_external_data=True, location="m.data", size_threshold=0)
    files["onnx/model.onnx"] = graph.read_bytes()
    files["onnx/m.data"] = (tmp_path / "m.data").read_bytes()
    commit = home.hub.publish(NAME, files)
    home.load()
    # Another program has filled the cache, so that the list of all files isn't known.
    shutil.rmtree(home.repository / ".pictag")
    for path in (home.repository / "snapshots" / commit).rglob(deleted):
        path.unlink()
    for is_offline, why in ((True, "downloads are turned off"), (False, f"{home.hub.url} can't be reached")):
        home.hub.faults.status = None if is_offline else 503
        result = home.load(local_files_only=is_offline, **arguments)
        assert result["error"] == "ModelUnavailable"
        assert f"has only a part of {NAME} (" in result["message"]
        assert f"Missing: {missing} from" in result["message"]
        assert f"'pictag models download {NAME}'" in result["message"]
        assert why in result["message"]


@pytest.mark.parametrize("with_home", ["~nobody-of-that-name/x", "FILE/x"])
def test_without_a_folder_for_downloads_the_error_says_how_to_name_one(
    home: Home, commit: str, tmp_path: Path, with_home: str
) -> None:
    (tmp_path / "file").touch()
    result = home.load(env={"HF_HOME": with_home.replace("FILE", str(tmp_path / "file"))})
    assert result["error"] == "ModelUnavailable"
    assert "Set HF_HOME to a folder that can be written to" in result["message"]
    assert result["stderr"] == ""


def test_if_the_hub_is_down_the_cached_branch_is_used(hub: HubServer, home: Home, commit: str) -> None:
    home.load()
    hub.faults.status = 503
    result = home.load()
    assert result["revision"] == commit
    assert "could not be reached" in result["notes"][0]
    assert result["stderr"] == ""


def test_a_cache_filled_by_another_program_is_used_offline(hub: HubServer, home: Home, commit: str) -> None:
    home.load(dtype="fp32")
    for path in (home.repository / ".pictag").iterdir():
        path.unlink()
    result = home.load(local_files_only=True)
    assert result["weights"].endswith("onnx/model.onnx")
    assert result["sha256"] == hashlib.sha256(Path(result["weights"]).read_bytes()).hexdigest()


def test_a_private_model_needs_its_token_which_is_not_sent_to_the_cdn(
    hub: HubServer, home: Home, commit: str
) -> None:
    hub.repositories[NAME].token = TOKEN
    hub.known_tokens.add(TOKEN)
    assert home.load()["error"] == "ModelNotFound"
    assert home.load(token=TOKEN)["revision"] == commit
    assert {r.authorization for r in hub.requests() if r.host == "cdn"} == {None}


def test_a_gated_model_says_where_its_terms_are(hub: HubServer, home: Home, commit: str) -> None:
    hub.repositories[NAME].gated = True
    result = home.load()
    assert result["error"] == "ModelAccessDenied"
    assert f"{hub.url}/{NAME}" in result["message"]


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        ({"model": "org/nothing"}, "ModelNotFound", ["org/nothing"]),
        ({"revision": "v9"}, "ModelNotFound", ["'v9'"]),
        ({"dtype": "fp16"}, "ModelFileMissing", ["onnx/model_quantized.onnx (q8)"]),
        ({"model_file": "onnx/other.onnx"}, "ModelFileMissing", ["onnx/model.onnx (fp32)"]),
        ({"dtype": "fp33"}, "OptionError", ["fp32"]),
        ({"token": TOKEN}, "ModelAccessDenied", ["HF_TOKEN"]),
        ({"env": {"HF_TOKEN": TOKEN}}, "ModelAccessDenied", ["HF_TOKEN"]),
        ({"token": TOKEN + "\n"}, "OptionError", ["token"]),
        ({"token": TOKEN + "é"}, "OptionError", ["token"]),
        (
            {"env": {"HF_HUB_OFFLINE": "1"}},
            "ModelUnavailable",
            ["config.json", "onnx/model*.onnx", "http://127.0.0.1", "'embedded' and 'efficientnet-lite0'"],
        ),
        (
            {"env": {"HF_ENDPOINT": "http://127.0.0.1:9"}},
            "ModelUnavailable",
            ["config.json", "http://127.0.0.1:9", "'embedded' and 'efficientnet-lite0'"],
        ),
    ],
)
@pytest.mark.usefixtures("commit")
def test_errors_name_the_problem_and_never_the_token(
    home: Home, arguments: dict[str, Any], error: str, parts: list[str]
) -> None:
    result = home.load(**arguments)
    assert result["error"] == error
    assert [part for part in parts if part not in result["message"]] == []
    assert result["stderr"] == ""
    assert TOKEN not in result["message"]


def test_a_listed_file_that_the_hub_does_not_have_is_named(hub: HubServer, home: Home, commit: str) -> None:
    hub.faults.missing_file = "onnx/model.onnx"
    result = home.load()
    assert result["error"] == "ModelFileMissing"
    assert "onnx/model.onnx" in result["message"]


def test_a_branch_and_a_tag_lead_to_their_commits(
    hub: HubServer, home: Home, commit: str, tmp_path: Path
) -> None:
    other = hub.publish(NAME, make_files(tmp_path / "other", sharpness=5), branch="refs/pr/4")
    assert home.load(model=f"{NAME}@refs/pr/4")["revision"] == other
    assert home.load(model=f"{NAME}@refs/pr/4", local_files_only=True)["revision"] == other
    assert home.load()["revision"] == commit


def test_an_error_in_the_progress_callback_reaches_the_caller(home: Home, commit: str) -> None:
    result = home.load(fail_in_progress=True)
    assert (result["error"], result["message"]) == ("ValueError", "the caller's error")


def test_eight_processes_on_a_cold_cache_download_each_file_once(
    hub: HubServer, home: Home, commit: str
) -> None:
    results = [finish(process) for process in [home.start() for _ in range(8)]]
    assert [r.get("revision") for r in results] == [commit] * 8
    assert [r["stderr"] for r in results] == [""] * 8
    assert len([r for r in hub.requests("GET") if r.host == "cdn"]) == 1
