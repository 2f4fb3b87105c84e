"""Settings from environment variables; no other module reads the environment.

| variable | meaning |
|---|---|
| ``PICTAG_MODEL`` | the model if ``--model`` is not given |
| ``PICTAG_LIBRARY`` | the gallery's library if ``--library`` is not given |
| ``PICTAG_DEBUG`` | ``1`` shows tracebacks, like ``--debug`` |
| ``PICTAG_SERVER_…`` | the settings of `pictag serve`, see `pictag.server.settings` |
| ``_PICTAG_COMPLETE`` | set by a shell that asks for completions, e.g. ``bash_source`` |

Libraries read their own variables: huggingface_hub ``HF_TOKEN``, ``HF_HOME``, ``HF_ENDPOINT`` and
``HF_HUB_OFFLINE``; rich ``NO_COLOR``, ``FORCE_COLOR``, ``TERM`` and ``COLUMNS``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pictag.errors import OptionError, shorten

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

_BOOLEANS = {"": False, "0": False, "false": False, "no": False, "off": False} | dict.fromkeys(
    ("1", "true", "yes", "on"), True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings from the environment, read once when an interface starts."""

    model: str | None = None
    library: str | None = None
    debug: bool = False
    completion: str | None = None
    server: Mapping[str, str] = field(default_factory=dict)


def read_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process; raises `OptionError` naming a variable with an invalid value.

    >>> read_settings({"PICTAG_MODEL": "embedded", "PICTAG_DEBUG": "yes"})
    Settings(model='embedded', library=None, debug=True, completion=None, server={})
    """
    environ = os.environ if environ is None else environ
    return Settings(
        model=environ.get("PICTAG_MODEL", "").strip() or None,
        library=environ.get("PICTAG_LIBRARY") or None,
        debug=_read_boolean(environ, "PICTAG_DEBUG"),
        completion=environ.get("_PICTAG_COMPLETE") or None,
        server={name: value for name, value in environ.items() if name.upper().startswith("PICTAG_SERVER_")},
    )


def limit_numpy_threads(environ: MutableMapping[str, str] | None = None) -> None:
    """Keep numpy's OpenBLAS from starting a thread per core; call it before numpy is imported.

    pictag doesn't multiply matrices with numpy. Where the system doesn't allow the threads, OpenBLAS sends
    the process an interrupt, as if the user had pressed Ctrl-C. A value that is already set is kept.

    >>> environ = {}
    >>> limit_numpy_threads(environ)
    >>> environ
    {'OPENBLAS_NUM_THREADS': '1'}
    """
    (os.environ if environ is None else environ).setdefault("OPENBLAS_NUM_THREADS", "1")


def _read_boolean(environ: Mapping[str, str], name: str) -> bool:
    value = environ.get(name, "").strip().lower()
    if value not in _BOOLEANS:
        raise OptionError(f"{name}={shorten(value)!r} is neither on nor off. Use 1 or 0.")
    return _BOOLEANS[value]
