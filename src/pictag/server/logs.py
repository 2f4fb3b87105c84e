"""The server's log: a line an event, in JSON or as text, without secrets and without surprises.

Credentials in URLs, their queries, tokens and keys are blotted out of whatever is logged, and what could
move a cursor or begin a line of its own is escaped. Images and headers are never logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import logging
import re
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from pictag.server.settings import ServerSettings

# The id of the request that this task works on; it stands in each of its lines.
request_id: ContextVar[str] = ContextVar("request_id", default="")

_LOGGERS = ("pictag", "uvicorn", "asyncio")
_REQUESTS = logging.getLogger("pictag.server.requests")
_GATHER_S = 0.05
_MOST_GATHERED = 256
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

# One look in place of five: what has none of these has none of the secrets above.
_SUSPICIOUS = re.compile(r"(?i)://|bearer|basic|token|authorization|key|cookie|password|hf_")


def configure_logging(settings: ServerSettings, stream: TextIO | None = None) -> None:
    """Send what the server, uvicorn and asyncio log to ``stream``, standard error by default."""
    stream = sys.stderr if stream is None else stream
    form = settings.log_format
    if form == "auto":
        form = "text" if stream.isatty() else "json"
    key = settings.api_key.get_secret_value() if settings.api_key is not None else None
    handler = _Gatherer(stream)
    handler.setFormatter((JsonFormatter if form == "json" else TextFormatter)(key))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
        logger.setLevel(logging.INFO if name == "pictag" else logging.WARNING)
    _REQUESTS.disabled = not settings.log_requests


def log_request(
    *, method: str, route: str, model: str, status: int, seconds: float, received_bytes: int, client: str
) -> None:
    """A line for a request that is done; ``route`` is its pattern, for paths and queries may hold secrets."""
    fields = {
        "method": method,
        "route": route,
        "model": model,
        "status": status,
        "ms": round(seconds * 1000, 1),
        "bytes": received_bytes,
        "client": client,
    }
    if _REQUESTS.isEnabledFor(logging.INFO):
        # `Logger.info` would look through the stack for who called it, which no line shows.
        record = _REQUESTS.makeRecord(
            _REQUESTS.name, logging.INFO, "", 0, "request", (), None, extra={"fields": fields}
        )
        _REQUESTS.handle(record)


def flush() -> None:
    """Write what is still held back; for those who end the process without a word."""
    for handler in logging.getLogger(_LOGGERS[0]).handlers:
        handler.flush()


def redact(text: str, key: str | None = None) -> str:
    """The text without the secrets that it may have; ``key`` is the server's own.

    >>> redact("GET https://me:secret@host/a.jpg?sig=1 failed")
    'GET https://***@host/a.jpg?*** failed'
    """
    if key is not None:
        text = text.replace(key, _REDACTED)
    if _SUSPICIOUS.search(text) is None:
        return text
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


_conceal_again = functools.lru_cache(maxsize=256)(redact)  # of paths, models and clients there are few


def escape(text: str) -> str:
    r"""The text on one line of printable characters.

    >>> escape("two\nlines \x1b[31m")
    'two\\nlines \\x1b[31m'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class _Gatherer(logging.StreamHandler[TextIO]):
    """Writes the lines of requests together, the others at once.

    Each call of the system gives the interpreter away, and waits for it while workers have it: with a line
    for each request that is refused, an eighth of the event loop's time under overload. A line waits for
    `_GATHER_S` at most.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._held: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take one record."""
        try:
            line = self.format(record)
        except Exception:  # noqa: BLE001 - as all handlers of logging do: a line is lost, and the server goes on
            self.handleError(record)
            return
        loop = None
        if record.name == _REQUESTS.name:
            with contextlib.suppress(RuntimeError):  # no loop that could come back to it
                loop = asyncio.get_running_loop()
        self._held.append(line)
        if loop is None or len(self._held) >= _MOST_GATHERED:
            self.flush()
        elif len(self._held) == 1:
            loop.call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        """Write what was held back."""
        with self.lock or contextlib.nullcontext():
            held, self._held = self._held, []
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                if held:
                    self.stream.write("".join(f"{line}{self.terminator}" for line in held))
                super().flush()


class _Formatter(logging.Formatter):
    """What both forms share: the fields of a line, free of secrets."""

    def __init__(self, key: str | None = None) -> None:
        super().__init__()
        self.key = key

    def read(self, record: logging.LogRecord) -> tuple[dict[str, Any], str]:
        """The fields of a record, and its traceback or nothing."""
        fields: dict[str, Any] = {"message": redact(record.getMessage(), self.key)}
        named = request_id.get() or getattr(record, "request_id", "")
        if named:
            fields["request_id"] = redact(str(named), self.key)
        fields |= {
            name: value if isinstance(value, int | float) else _conceal_again(str(value), self.key)
            for name, value in getattr(record, "fields", {}).items()
            if value != ""
        }
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        return fields, redact(trace, self.key)


def _show_time(seconds: float) -> str:
    return f"{_show_second(int(seconds))}.{int(seconds % 1 * 1000):03}Z"


@functools.lru_cache(maxsize=2)
def _show_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class JsonFormatter(_Formatter):
    """A JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record in JSON, in ASCII."""
        fields, trace = self.read(record)
        line = {"time": _show_time(record.created), "level": record.levelname.lower(), **fields}
        if trace:
            line["traceback"] = trace
        return json.dumps(line).replace("\x7f", "\\u007f")


class TextFormatter(_Formatter):
    """A line for a person's eyes; a traceback stands below it, each of its lines marked with a bar."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        fields, trace = self.read(record)
        message = escape(fields.pop("message"))
        rest = "".join(f" {name}={escape(str(value))}" for name, value in fields.items())
        line = f"{_show_time(record.created)} {record.levelname.lower():<7} {message}{rest}"
        return "\n".join([line, *(f"  | {escape(part)}" for part in trace.splitlines())])
