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
    if services.readiness.is_stopping:
        raise NotReady("The server is stopping.")
    check_model_ready(services, services.registry.default)


def check_model_ready(services: Services, name: str) -> None:
    """Raise `NotReady` while a model is loading or has failed.

    One that is not loaded is ready: it is loaded when it is asked for.
    """
    status = services.registry.describe(name)
    if status.state in ("loading", "failed"):
        raise NotReady(f"The model {name} is not ready: {status.state}.")
