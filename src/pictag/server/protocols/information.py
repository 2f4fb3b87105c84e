"""What the server says of itself: health, models, metrics, the description of its interface."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from pictag import __version__
from pictag.server.exchange import answer_json
from pictag.server.openapi import describe_interface
from pictag.server.readiness import check_model_ready, check_ready, find_model
from pictag.server.refusals import Reply

if TYPE_CHECKING:
    from pictag.server.exchange import Exchange


async def say_healthy(call: Exchange) -> Reply:
    """``GET /health``."""
    check_ready(call.services)
    return answer_json({"status": "ok"})


async def say_model_healthy(call: Exchange) -> Reply:
    """``GET /models/{model}/health``."""
    check_model_ready(call.services, call.path_params["model"])
    return answer_json({"status": "ok"})


async def describe_server(call: Exchange) -> Reply:
    """``GET /info``, and ``GET /`` for who does not ask for HTML."""
    return _describe(call, call.services.registry.default)


async def describe_model(call: Exchange) -> Reply:
    """``GET /models/{model}/info``."""
    return _describe(call, find_model(call.services, call.path_params["model"]))


def _describe(call: Exchange, name: str) -> Reply:
    services = call.services
    status = services.registry.describe(name)
    return answer_json(
        {
            "server": "pictag",
            "version": __version__,
            "task": "image-classification",
            "model_id": name,
            "model_state": status.state,
            "model_sha": status.card.revision if status.card is not None else None,
            "models": services.registry.names(),
            "max_body_bytes": services.settings.max_body_bytes,
            "max_pixels": services.settings.max_pixels,
            "description": "/openapi.json",
        }
    )


async def list_models(call: Exchange) -> Reply:
    """``GET /models``."""
    registry = call.services.registry
    found = [registry.describe(name) for name in registry.names()]
    return answer_json(
        [
            {
                "name": status.name,
                "state": status.state,
                "labels": len(status.labels) if status.labels is not None else None,
            }
            for status in found
        ]
    )


async def show_metrics(call: Exchange) -> Reply:
    """``GET /metrics``."""
    return Reply(
        status=200,
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        body=call.services.metrics.render(),
    )


@cache
def _description() -> bytes:
    return json.dumps(describe_interface()).encode()


async def show_description(call: Exchange) -> Reply:
    """``GET /openapi.json``."""
    return Reply(status=200, headers={"Content-Type": "application/json"}, body=_description())
