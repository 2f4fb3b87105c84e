"""The server's log: one line per event, as JSON or text.

Credentials, URL queries, tokens and the API key are replaced by ``***``. Control characters are escaped, so
that nothing a client sends can start a new line or control a terminal. Images and headers are never logged.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from pictag.errors import PictagWarning, escape

if TYPE_CHECKING:
    from pictag.server.settings import ServerSettings

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request that the current task handles; part of each of its lines."""

_LOGGERS = ("pictag", "uvicorn", "asyncio")
_REQUESTS = logging.getLogger("pictag.server.requests")
_REDACTED = "***"
_SECRETS = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://)[^\s/?#@]*@"), rf"\1{_REDACTED}@"),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{1,20}://[^\s?#'\"<>]*)[?#][^\s'\"<>]*"), rf"\1?{_REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic|token)\s+[A-Za-z0-9._~+/=-]{6,}"), rf"\1 {_REDACTED}"),
    (
        re.compile(
            r"(?i)\b((?:proxy-)?authorization|x-api-key|api[_-]?key|cookie|password)(['\"]?\s*[:=]\s*).+"
        ),
        rf"\1\2{_REDACTED}",
    ),
    (re.compile(r"\bhf_[A-Za-z0-9]{8,}"), _REDACTED),
)


def configure_logging(settings: ServerSettings, stream: TextIO | None = None) -> None:
    """Send the log of the server, uvicorn and asyncio to ``stream``, by default standard error."""
    stream = sys.stderr if stream is None else stream
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not stream.isatty())
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    handler = _Handler(stream)
    handler.setFormatter(LogFormatter(as_json=as_json, key=key))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "pictag" else logging.WARNING)
    _REQUESTS.disabled = not settings.log_requests
    warnings.simplefilter("default", PictagWarning)
    warnings.showwarning = _log_warning


def _log_warning(message: Warning | str, category: type[Warning], *_where: Any, **_more: Any) -> None:
    """In place of `warnings.showwarning`, which would write between the log's lines."""
    logging.getLogger("pictag").warning("%s: %s", category.__name__, message)


def log_request(
    *, method: str, route: str, model: str, status: int, seconds: float, received_bytes: int, client: str
) -> None:
    """Log a finished request by its ``route``, since its path and query may contain secrets."""
    fields = {
        "method": method,
        "route": route,
        "model": model,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "bytes": received_bytes,
        "client": client,
    }
    _REQUESTS.info("request", extra={"fields": fields})


def redact(text: str, key: str | None = None) -> str:
    """The text without secrets; ``key`` is the server's API key.

    >>> redact("GET https://me:secret@host/a.jpg?sig=1 failed")
    'GET https://***@host/a.jpg?*** failed'
    """
    if key is not None:
        text = text.replace(key, _REDACTED)
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class _Handler(logging.StreamHandler[TextIO]):
    """Drops lines that can't be written: a closed pipe must not stop the server."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - overrides logging's method
        """Do nothing."""


class LogFormatter(logging.Formatter):
    """One line per record: JSON in ASCII, or text followed by the lines of a traceback, each after a bar."""

    def __init__(self, *, as_json: bool, key: str | None = None) -> None:
        super().__init__()
        self.as_json = as_json
        self.key = key

    def format(self, record: logging.LogRecord) -> str:
        """The record without secrets."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        given = {"request_id": request_id.get(), **getattr(record, "fields", {})}
        fields: dict[str, str | int | float] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": redact(record.getMessage(), self.key),
        }
        fields |= {
            name: value if isinstance(value, int | float) else redact(str(value), self.key)
            for name, value in given.items()
            if value != ""
        }
        trace = redact(self.formatException(record.exc_info), self.key) if record.exc_info else ""
        if self.as_json:
            return json.dumps(fields | ({"traceback": trace} if trace else {})).replace("\x7f", "\\u007f")
        head = f"{fields.pop('time')} {fields.pop('level'):<7} {escape(str(fields.pop('message')))}"
        rest = "".join(f" {name}={escape(str(value))}" for name, value in fields.items())
        return "\n".join([head + rest, *(f"  | {escape(line)}" for line in trace.splitlines())])
