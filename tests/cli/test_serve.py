from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from liveserver import ask, run_process
from pictag.cli import main
from pictag.cli.serve import serve_app
from pictag.server.settings import ServerSettings
from tinymodel import make_image

Pictag = Callable[..., subprocess.CompletedProcess[bytes]]


def test_the_command_serves(tmp_path: Path, tiny: str) -> None:
    image = make_image(tmp_path / "red.png").read_bytes()
    with run_process(tmp_path, "--model", f"colours={tiny}", "--model", "embedded", "--lazy") as process:
        port = process.port()
        status, body = ask(port, "/?top_k=1", method="POST", body=image)
        assert (status, b'"red"' in body) == (200, True)
        assert ask(port, "/models/embedded", method="POST", body=image)[0] == 200
        assert ask(port, "/models/other", method="POST", body=image)[0] == 404


def test_show_config_prints_every_setting_with_its_origin(pictag: Pictag, tmp_path: Path) -> None:
    (tmp_path / "server.toml").write_text("max_queue = 12\nmax_batch = 3\n")
    done = pictag(
        "serve", "--config", "server.toml", "--model", "embedded", "--no-page", "--lazy", "--set", "port=81",
        "--set", "max_batch=5", "--show-config", PICTAG_SERVER_API_KEY="sesame", pictag_server_host="::1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    assert "sesame" not in text
    shown = tomllib.loads(text)
    assert shown["models"] == ["embedded"]
    assert (shown["page"], shown["preload"], shown["port"], shown["host"]) == (False, False, 81, "::1")
    assert (shown["max_queue"], shown["max_batch"]) == (12, 5)
    origins = {line.split()[0]: line.rpartition("# ")[2] for line in text.splitlines()}
    assert origins["max_queue"] == "file server.toml"
    assert origins["host"] == "environment PICTAG_SERVER_HOST"
    assert origins["max_batch"] == origins["page"] == "command line"
    assert origins["decode"] == "default"
    for name in ServerSettings.model_fields:
        assert name in text


def test_the_output_of_show_config_is_a_config_file_without_the_key(pictag: Pictag, tmp_path: Path) -> None:
    key = {"PICTAG_SERVER_API_KEY": "sesame"}
    kept = pictag("serve", "--model", "embedded", "--port", "81", "--show-config", **key).stdout
    assert b"sesame" not in kept
    (tmp_path / "kept.toml").write_bytes(kept)
    again = pictag("serve", "--config", "kept.toml", "--show-config")
    assert again.returncode == 0, again.stderr
    shown = tomllib.loads(again.stdout.decode())
    assert shown == tomllib.loads(kept.decode())
    assert "api_key" not in shown
    (tmp_path / "old.toml").write_text('api_key = "****"\n')
    refused = pictag("serve", "--config", "old.toml")
    assert refused.returncode == 2
    assert b"the key" in refused.stderr


def test_a_limit_of_open_files_below_max_connections_is_explained(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] == resource.RLIM_INFINITY:
        pytest.skip("no limit")
    with run_process(tmp_path, "--model", "embedded", "--set", "max_connections=2000000000") as process:
        assert process.wait() == 2
    (line,) = process.lines()
    assert "ulimit -n 4000000256" in line["message"]
    assert "LimitNOFILE=4000000256" in line["message"]


def test_help_lists_all_exit_statuses(pictag: Pictag) -> None:
    text = " ".join(pictag("serve", "--help").stdout.decode().split())
    statuses = text.partition("Exit status: ")[2]
    for said in ("0 stopped", "1 some", "2 wrong usage", "70 an error", "75 a temporary", "130 or 143"):
        assert said in statuses


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "max_qeue=1"], "Did you mean 'max_queue'"),
        (["--set", "nonsense"], "NAME=VALUE"),
        (["--set", "api_key=sesame"], "PICTAG_SERVER_API_KEY"),
        (["--set", "body_timeout_s=never"], "body_timeout_s='never' (command line)"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--port", "70000"], "70000"),
        (["--port", "0", "--model", "a=embedded", "--model", "a=embedded"], "same name"),
    ],
)
def test_wrong_usage_is_one_sentence_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(["serve", *arguments]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1
    assert "api_key=sesame" not in err


def test_without_the_extra_the_error_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pictag.cli import main\n"
        "for package in ('uvicorn', 'starlette', 'httptools', 'prometheus_client'):\n"
        "    for name in [name for name in sys.modules if name.startswith(('pictag.server', package))]:\n"
        "        del sys.modules[name]\n"
        "    sys.modules[package] = None\n"
        "    print(package, main(['serve', '--show-config']), file=sys.stderr)\n"
        "    del sys.modules[package]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"pip install 'pictag[server]'") == 4
    assert done.stderr.count(b" 2\n") == 4


def test_options_are_settings() -> None:
    """Renaming a setting must rename its option."""
    not_settings = {"others", "config", "show_config", "lazy", "no_page", "debug"}
    names = {parameter.name for parameter in serve_app.params if parameter.name}
    assert names - not_settings <= set(ServerSettings.model_fields)
