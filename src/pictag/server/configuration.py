"""Reading the server's settings: command line, environment, file, defaults, in this order."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr, ValidationError

from pictag.errors import OptionError, UnknownOption, shorten, suggest
from pictag.server.settings import ServerSettings, write_value

PREFIX = "PICTAG_SERVER_"
CONFIG_VARIABLE = "PICTAG_SERVER_CONFIG"

# Kubernetes sets these in each container for every service. Those of a service named pictag-server or
# pictag-server-blue look like settings.
_KUBERNETES_NAME = re.compile(r"(^|_)(service_(host|port(_.+)?)|port_\d+_(tcp|udp|sctp)(_.+)?)$")
_KUBERNETES_VALUE = re.compile(r"(?i)(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings, and the source of each value."""

    settings: ServerSettings
    sources: Mapping[str, str]

    def render(self) -> str:
        """All settings as TOML, each with its source; the result is a valid configuration file.

        The key is left out; a comment says that there is one.
        """
        lines = []
        for name in ServerSettings.model_fields:
            value, source = getattr(self.settings, name), self.sources[name]
            written = f"{name} = {write_value(value)}" if value is not None else f"# {name} ="
            if isinstance(value, SecretStr):
                written, source = f"# {written}", f"{source}; hidden"
            lines.append(f"{written:<48} # {source}")
        return "\n".join(lines) + "\n"


def read_configuration(
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    model: str | None = None,
) -> Configuration:
    """The settings from ``given`` (the command line), ``environ``, ``file`` and defaults, in this order.

    ``model`` is the model if no source names any. Raises `OptionError` for an invalid value and
    `UnknownOption` for an unknown name, with its source.
    """
    file = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    layers = [
        ("default", {"models": (model,)} if model else {}),
        (f"file {file}", _read_file(file) if file is not None else {}),
        ("environment", _read_variables(environ)),
        ("command line", given),
    ]
    values: dict[str, Any] = {}
    sources = dict.fromkeys(ServerSettings.model_fields, "default")
    for source, layer in layers:
        for name, value in layer.items():
            if name not in ServerSettings.model_fields:
                if isinstance(value, Mapping):
                    raise UnknownOption(
                        f"{source}: [{shorten(name, 80)}] is a table, but settings don't belong in tables. "
                        "Write them at the top of the file."
                    )
                raise UnknownOption(
                    f"{source}: there is no setting {shorten(repr(name), 80)}.{_suggest(name)}"
                )
            values[name] = value
            sources[name] = f"environment {PREFIX}{name.upper()}" if source == "environment" else source
    try:
        settings = ServerSettings(**values)
    except ValidationError as error:
        raise OptionError(_explain(error, values, sources)) from None  # pydantic's message might show the key
    return Configuration(settings=settings, sources=sources)


def _read_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings among the environment variables; empty variables are ignored."""
    found = {}
    for variable in sorted(environ):
        if not variable.upper().startswith(PREFIX) or variable.upper() == CONFIG_VARIABLE:
            continue
        name = variable[len(PREFIX) :].lower()
        if _KUBERNETES_NAME.search(name) or (
            name.rpartition("_")[2] == "port" and _KUBERNETES_VALUE.match(environ[variable])
        ):
            raise UnknownOption(
                f"environment {shorten(variable, 80)}: Kubernetes sets this variable for a service whose "
                "name starts with pictag-server. Set enableServiceLinks: false in the pod's spec."
            )
        if name not in ServerSettings.model_fields:
            raise UnknownOption(
                f"environment {shorten(variable, 80)}: there is no such setting.{_suggest(name)}"
            )
        if environ[variable]:
            found[name] = environ[variable]
    return found


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"The configuration file {shorten(file)} can't be read: {error.strerror}."
        ) from error
    except ValueError as error:  # invalid TOML or UTF-8
        raise OptionError(
            f"The configuration file {shorten(file)} is not valid TOML: {shorten(error)}."
        ) from error


def _suggest(name: str) -> str:
    return suggest(name, ServerSettings.model_fields) or " 'pictag serve --show-config' shows all settings."


def _explain(error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{message}."
    name = str(first["loc"][0])
    shown = "****" if name == "api_key" else shorten(repr(values.get(name)), 80)
    return f"{name}={shown} ({sources.get(name, 'command line')}): {message[:1].lower()}{message[1:]}."
