"""What the protocols work with, as one value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pictag.server.arrivals import Arrivals
    from pictag.server.dispatch import Dispatcher
    from pictag.server.metrics import Metrics
    from pictag.server.registry import Registry
    from pictag.server.settings import ServerSettings


@dataclass(slots=True)
class Readiness:
    """Whether new requests should come: a server that is stopping finishes the old ones only."""

    is_stopping: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The rooms behind the protocols, made once when the server starts."""

    settings: ServerSettings
    registry: Registry
    dispatcher: Dispatcher
    arrivals: Arrivals
    metrics: Metrics
    readiness: Readiness = field(default_factory=Readiness)
