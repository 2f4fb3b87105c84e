"""Health, models, metrics and the OpenAPI description."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING

from starlette.responses import Response

from pictag import __version__
from pictag.server.http_errors import json_response
from pictag.server.openapi import describe_interface

if TYPE_CHECKING:
    from pictag.server.request import Request


async def server_health(request: Request) -> Response:
    """``GET /health``."""
    request.services.check_ready()
    return json_response({"status": "ok"})


async def model_health(request: Request) -> Response:
    """``GET /models/{model}/health``."""
    request.services.check_ready(request.path_params["model"])
    return json_response({"status": "ok"})


async def describe_server(request: Request) -> Response:
    """``GET /info``, and ``GET /`` unless the client asks for HTML."""
    return _describe(request, request.services.registry.default)


async def describe_model(request: Request) -> Response:
    """``GET /models/{model}/info``."""
    return _describe(request, request.path_params["model"])


def _describe(request: Request, model: str) -> Response:
    services = request.services
    status = services.registry.describe(model)
    return json_response(
        {
            "server": "pictag",
            "version": __version__,
            "task": "image-classification",
            "model_id": model,
            "model_state": status.state,
            "model_sha": status.card.revision if status.card is not None else None,
            "models": services.registry.names(),
            "max_body_bytes": services.settings.max_body_bytes,
            "max_pixels": services.settings.max_pixels,
            "description": "/openapi.json",
        }
    )


async def list_models(request: Request) -> Response:
    """``GET /models``."""
    registry = request.services.registry
    found = [registry.describe(name) for name in registry.names()]
    return json_response(
        [
            {
                "name": status.name,
                "state": status.state,
                "labels": len(status.labels) if status.labels is not None else None,
            }
            for status in found
        ]
    )


async def metrics(request: Request) -> Response:
    """``GET /metrics``."""
    text = request.services.metrics.render()
    return Response(text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


@cache
def _openapi_json() -> bytes:
    return json.dumps(describe_interface()).encode()


async def openapi(request: Request) -> Response:
    """``GET /openapi.json``."""
    return Response(_openapi_json(), media_type="application/json")
