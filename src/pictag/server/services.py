"""What the protocols work with: created once when the server starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pictag.server.http_errors import NotReady

if TYPE_CHECKING:
    from pictag.server.body_budget import BodyBudget
    from pictag.server.dispatch import Dispatcher
    from pictag.server.metrics import Metrics
    from pictag.server.registry import Registry
    from pictag.server.settings import ServerSettings


@dataclass(slots=True, kw_only=True)
class Services:
    """The parts behind the protocols. While ``is_stopping``, requests under way are finished."""

    settings: ServerSettings
    registry: Registry
    dispatcher: Dispatcher
    body_budget: BodyBudget
    metrics: Metrics
    is_stopping: bool = False

    def check_ready(self, model: str | None = None) -> None:
        """Raise `NotReady` while the server stops, or while ``model`` (the default one) can't be used.

        A model that isn't loaded counts as ready, since a request loads it. So does one that failed to load
        once it may be tried again: a load balancer would otherwise never send the request that loads it.
        Raises `ModelNotServed`.
        """
        status = self.registry.describe(model if model is not None else self.registry.default)
        if self.is_stopping:
            raise NotReady("The server is stopping.")
        if not status.takes_requests:
            raise NotReady(f"The model {status.name} is not ready: {status.state}.")
