from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pictag.errors import OptionError, UnknownOption
from pictag.server.configuration import Configuration, read_configuration
from pictag.server.settings import ServerSettings


def read(
    given: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, **more: Any
) -> Configuration:
    return read_configuration(given or {}, environ or {}, **more)


def test_the_command_line_takes_precedence_over_the_environment_and_the_file(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('host = "0.0.0.0"\nport = 1\nmax_queue = 2\nmodels = ["embedded", "a=b"]\n')
    environ = {"PICTAG_SERVER_PORT": "3", "PICTAG_SERVER_MAX_BATCH": "4", "PICTAG_SERVER_CONFIG": str(file)}
    configuration = read({"max_batch": 5, "max_queue": 6}, environ)
    settings, sources = configuration.settings, configuration.sources
    assert (settings.host, settings.port, settings.max_queue, settings.max_batch) == ("0.0.0.0", 3, 6, 5)
    assert settings.models == ("embedded", "a=b")
    assert sources["host"] == sources["models"] == f"file {file}"
    assert sources["port"] == "environment PICTAG_SERVER_PORT"
    assert sources["max_queue"] == sources["max_batch"] == "command line"
    assert sources["page"] == "default"
    assert read({}, environ, file=Path("missing.toml").parent / file).settings.port == 3


@pytest.mark.parametrize(
    ("text", "models"),
    [("embedded", ("embedded",)), ("embedded, a=b,", ("embedded", "a=b")), ('["a,b", "c"]', ("a,b", "c"))],
)
def test_lists_in_the_environment_are_comma_separated_or_json(text: str, models: tuple[str]) -> None:
    assert read({}, {"PICTAG_SERVER_MODELS": text}).settings.models == models


def test_the_default_model_of_the_command_line_applies_to_the_server() -> None:
    assert read(model="embedded").settings.models == ("embedded",)
    assert read({"models": ["a"]}, model="embedded").settings.models == ("a",)


def test_empty_variables_are_ignored() -> None:
    assert read({}, {"PICTAG_SERVER_PORT": "", "PICTAG_SERVER_CONFIG": ""}).settings.port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "x"), ("port", 65_536), ("port", -1), ("host", ""), ("max_queue", 0),
        ("body_timeout_s", 0), ("body_timeout_s", "inf"), ("body_timeout_s", "nan"),
        ("body_timeout_s", 1e9), ("engine", "torch"), ("dtype", "fp8"), ("log_format", "xml"),
        ("allow_urls", "perhaps"), ("max_header_bytes", 10), ("models", ()), ("models", "[1"),
        ("api_key", ""), ("api_key", "clé"), ("api_key", " a"), ("api_key", "a\nb"),
        ("request_timeout_s", 500), ("api_key", "****"), ("threads", " "), ("default_top_k", ""),
        ("default_top_k", 99_999_999_999),
        ("trusted_proxies", ["nonsense"]), ("trusted_proxies", "10.0.0.1/8"), ("trusted_proxies", "*, ::1"),
    ],
)  # fmt: skip
def test_an_invalid_value_is_an_error_that_names_the_setting(name: str, value: object) -> None:
    with pytest.raises(OptionError, match=name):
        read({name: value})


def test_an_error_names_the_source_of_the_value(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="environment PICTAG_SERVER_PORT"):
        read({}, {"PICTAG_SERVER_PORT": "tcp://10.0.0.1:80"})
    file = tmp_path / "server.toml"
    file.write_text("max_queue = 'many'\n")
    with pytest.raises(OptionError, match=r"server\.toml"):
        read(file=file)


def test_an_unknown_name_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UnknownOption, match="Did you mean 'max_queue'"):
        read({}, {"PICTAG_SERVER_MAX_QEUE": "1"})
    with pytest.raises(UnknownOption, match="Did you mean 'max_pixels'"):
        read({"max_pixel": 1})
    file = tmp_path / "server.toml"
    file.write_text("hots = 'a'\n")
    with pytest.raises(UnknownOption, match=r"server\.toml.*'hots'.*Did you mean 'host'"):
        read(file=file)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PICTAG_SERVER_PORT", "tcp://10.0.0.1:8000"),
        ("PICTAG_SERVER_PORT", "udp://10.0.0.1:8000"),
        ("PICTAG_SERVER_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("PICTAG_SERVER_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("PICTAG_SERVER_PORT_8000_TCP_PORT", "8000"),
        ("PICTAG_SERVER_PORT_8000_TCP_PROTO", "tcp"),
        ("PICTAG_SERVER_SERVICE_HOST", "10.0.0.1"),
        ("PICTAG_SERVER_SERVICE_PORT", "8000"),
        ("PICTAG_SERVER_SERVICE_PORT_HTTP", "8000"),
        ("PICTAG_SERVER_BLUE_PORT", "tcp://10.0.0.1:8000"),
        ("PICTAG_SERVER_BLUE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("PICTAG_SERVER_BLUE_SERVICE_HOST", "10.0.0.1"),
    ],
)
def test_variables_that_kubernetes_sets_for_a_service_are_explained(variable: str, value: str) -> None:
    with pytest.raises(OptionError, match=rf"^environment {variable}: .*enableServiceLinks: false") as raised:
        read({}, {variable: value})
    assert "Did you mean" not in str(raised.value)


def test_other_unknown_variables_are_not_blamed_on_kubernetes() -> None:
    for variable in ("PICTAG_SERVER_PROT", "PICTAG_SERVER_HTTP_PORT", "PICTAG_SERVER_SERVICES"):
        with pytest.raises(UnknownOption) as raised:
            read({}, {variable: "8000"})
        assert "Kubernetes" not in str(raised.value)


def test_other_variables_are_ignored() -> None:
    assert read({}, {"PICTAG_MODEL": "x", "PATH": "y", "PICTAG_SERVERS": "z"}).settings == read().settings


@pytest.mark.parametrize("content", [b"port = ", b"\xff\xfe", b"port = 1\nport = 2\n"])
def test_a_file_that_is_not_toml_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "server.toml").write_bytes(content)
    with pytest.raises(OptionError, match="is not valid TOML"):
        read(file=tmp_path / "server.toml")


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"missing\.toml can't be read"):
        read(file=tmp_path / "missing.toml")
    with pytest.raises(OptionError, match="can't be read"):
        read(file=tmp_path)


def test_settings_in_a_table_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("[server]\nport = 9000\n")
    with pytest.raises(UnknownOption, match=r"server\.toml: \[server\] .*top of the file") as raised:
        read(file=file)
    assert "Did you mean" not in str(raised.value)


def test_an_empty_value_restores_an_empty_default(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text('threads = ""\nidle_s = ""\nmemory_budget_mb = ""\n')
    settings = read(file=file).settings
    assert settings.threads is settings.idle_s is settings.memory_budget_mb is None
    file.write_text("threads = 4\n")
    assert read(file=file).settings.threads == 4
    assert read({"threads": ""}, file=file).settings.threads is None
    assert read({}, {"PICTAG_SERVER_THREADS": ""}).settings.threads is None


def test_settings_do_not_read_the_environment_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTAG_SERVER_PORT", "1")
    monkeypatch.setenv("PICTAG_SERVER_THREADS", "many")
    assert read().settings.port == ServerSettings().port == 8000


def test_the_shown_configuration_is_a_valid_file(tmp_path: Path) -> None:
    configuration = read({"models": ("embedded", 'a="quoted"\\\x7f'), "threads": 2, "keep_alive_s": 1.5})
    text = configuration.render()
    assert set(tomllib.loads(text)) | {"threads", "memory_budget_mb", "idle_s", "api_key"} == set(
        ServerSettings.model_fields
    )
    file = tmp_path / "server.toml"
    file.write_text(text, encoding="utf-8")
    assert read(file=file).settings == configuration.settings
    assert all("# " in line for line in text.splitlines())


def test_the_key_is_never_shown() -> None:
    key = "open-sesame-17"
    configuration = read({"api_key": key})
    assert configuration.settings.api_key is not None
    assert configuration.settings.api_key.get_secret_value() == key
    shown = configuration.render() + repr(configuration) + str(configuration.settings)
    assert key not in shown
    assert '# api_key = "****"' in shown
    with pytest.raises(OptionError) as raised:
        read({"api_key": key + "\n"})
    assert key not in str(raised.value)
    assert raised.value.__cause__ is None
    with pytest.raises(OptionError) as raised:
        read({"api_key": key, "port": "x"})
    assert key not in str(raised.value)


def test_the_shown_configuration_contains_no_key(tmp_path: Path) -> None:
    """Not even the asterisks, which would be a known key."""
    shown = read({}, {"PICTAG_SERVER_API_KEY": "open-sesame-17"}).render()
    line = next(line for line in shown.splitlines() if "api_key" in line)
    assert re.fullmatch(r'# api_key = "\*{4}" +# environment PICTAG_SERVER_API_KEY; hidden', line)
    file = tmp_path / "kept.toml"
    file.write_text(shown)
    assert read(file=file).settings.api_key is None
    file.write_text('api_key = "****"\n')
    with pytest.raises(OptionError, match=r"api_key=.*kept\.toml.*--show-config prints asterisks"):
        read(file=file)
