"""Where the server's settings come from: command line, environment, file, defaults, in this order."""

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

# Kubernetes gives each container these for every service there is; those of a service that is called
# pictag-server, or pictag-server-blue, look like settings.
_OF_KUBERNETES = re.compile(r"(^|_)(service_(host|port(_.+)?)|port_\d+_(tcp|udp|sctp)(_.+)?)$")
_ADDRESS_OF_KUBERNETES = re.compile(r"(?i)(tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """The settings, and where each value comes from."""

    settings: ServerSettings
    origins: Mapping[str, str]

    def render(self) -> str:
        """All settings as TOML that can be given back as a file, each with its origin.

        The key is not in it: a comment says that there is one.
        """
        lines = []
        for name in ServerSettings.model_fields:
            value, origin = getattr(self.settings, name), self.origins[name]
            written = f"{name} = {write_value(value)}" if value is not None else f"# {name} ="
            if isinstance(value, SecretStr):
                written, origin = f"# {written}", f"{origin}; hidden"
            lines.append(f"{written:<48} # {origin}")
        return "\n".join(lines) + "\n"


def read_configuration(
    given: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    model: str | None = None,
) -> Configuration:
    """The settings that hold: ``given`` on the command line, then ``environ``, then ``file``, then defaults.

    ``model`` is the default model where nothing names one. Raises `OptionError` for a value that means
    nothing and `UnknownOption` for a name that there is not, saying where it stands.
    """
    file = file or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    layers = [
        ("default", {"models": (model,)} if model else {}),
        (f"file {file}", _read_file(file) if file is not None else {}),
        ("environment", _read_variables(environ)),
        ("command line", given),
    ]
    values: dict[str, Any] = {}
    origins = dict.fromkeys(ServerSettings.model_fields, "default")
    for origin, layer in layers:
        for name, value in layer.items():
            if name not in ServerSettings.model_fields:
                if isinstance(value, Mapping):
                    raise UnknownOption(
                        f"{origin}: [{shorten(name, 80)}] is a table, and settings stand in none; "
                        "write them at the top of the file."
                    )
                raise UnknownOption(
                    f"{origin}: there is no setting {shorten(repr(name), 80)}.{_name_near(name)}"
                )
            values[name] = value
            origins[name] = f"environment {PREFIX}{name.upper()}" if origin == "environment" else origin
    try:
        settings = ServerSettings(**values)
    except ValidationError as error:
        raise OptionError(_explain(error, values, origins)) from None  # its own text might show the key
    return Configuration(settings=settings, origins=origins)


def _read_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings among the environment variables; one that is empty says nothing."""
    found = {}
    for variable in sorted(environ):
        if not variable.upper().startswith(PREFIX) or variable.upper() == CONFIG_VARIABLE:
            continue
        name = variable[len(PREFIX) :].lower()
        if _OF_KUBERNETES.search(name) or (
            name.rpartition("_")[2] == "port" and _ADDRESS_OF_KUBERNETES.match(environ[variable])
        ):
            raise UnknownOption(
                f"environment {shorten(variable, 80)}: Kubernetes sets this for a service whose name begins "
                "with pictag-server; enableServiceLinks: false in the pod's spec keeps it from that."
            )
        if name not in ServerSettings.model_fields:
            raise UnknownOption(
                f"environment {shorten(variable, 80)}: there is no such setting.{_name_near(name)}"
            )
        if environ[variable]:
            found[name] = environ[variable]
    return found


def _read_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"The configuration file {shorten(file)} cannot be read: {error.strerror}."
        ) from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise OptionError(f"The configuration file {shorten(file)} is no TOML: {shorten(error)}.") from error


def _name_near(name: str) -> str:
    return suggest(name, ServerSettings.model_fields) or " 'pictag serve --show-config' shows all settings."


def _explain(error: ValidationError, values: Mapping[str, Any], origins: Mapping[str, str]) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:
        return f"{message}."
    name = str(first["loc"][0])
    shown = "****" if name == "api_key" else shorten(repr(values.get(name)), 80)
    return f"{name}={shown} ({origins.get(name, 'command line')}): {message[:1].lower()}{message[1:]}."
