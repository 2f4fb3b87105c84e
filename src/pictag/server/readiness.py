"""Whether the server and its models can take a request now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.server.refusals import NotReady

if TYPE_CHECKING:
    from pictag.server.services import Services


def find_model(services: Services, name: str) -> str:
    """The name, where there is such a model; raises `ModelUnknown`."""
    services.registry.check(name)
    return name


def check_ready(services: Services) -> None:
    """Raise `NotReady` while the server stops, and where its default model cannot be used."""
    check_model_ready(services, services.registry.default)


def check_model_ready(services: Services, name: str) -> None:
    """Raise `NotReady` while the server stops, and while a model is loaded first or has just failed.

    One that is not loaded is ready, for it is loaded when it is asked for; so is one that failed, when it may
    be tried again: nobody would ask for it otherwise, and it would stay as it is. Raises `ModelUnknown`.
    """
    status = services.registry.describe(name)
    if services.readiness.is_stopping:
        raise NotReady("The server is stopping.")
    if not status.takes_requests:
        raise NotReady(f"The model {name} is not ready: {status.state}.")
