"""What one connection may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pictag.server.settings import ServerSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one connection may take; times in seconds."""

    max_connections: int
    max_header_bytes: int
    max_headers: int
    silent_timeout_s: float
    header_timeout_s: float
    keep_alive_s: float
    write_timeout_s: float
    stop_linger_s: float = 1.0


def make_limits(settings: ServerSettings) -> Limits:
    """The limits that the settings say."""
    return Limits(
        max_connections=settings.max_connections,
        max_header_bytes=settings.max_header_bytes,
        max_headers=settings.max_headers,
        silent_timeout_s=settings.silent_timeout_s,
        header_timeout_s=settings.header_timeout_s,
        keep_alive_s=settings.keep_alive_s,
        write_timeout_s=settings.body_timeout_s,
        stop_linger_s=min(1.0, settings.shutdown_timeout_s / 4),
    )
