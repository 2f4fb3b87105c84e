"""Health, models, metrics and the OpenAPI description."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pictag import __version__
from pictag.server.http_errors import json_response
from pictag.server.services import services_of

if TYPE_CHECKING:
    from starlette.requests import Request


async def health(request: Request) -> Response:
    """``GET /health`` and ``GET /models/{model}/health``."""
    services_of(request).check_ready(request.path_params.get("model"))
    return json_response({"status": "ok"})


async def describe(request: Request) -> Response:
    """``GET /info``, ``GET /models/{model}/info``, and ``GET /`` unless the client asks for HTML."""
    services = services_of(request)
    model = request.path_params.get("model", services.registry.default)
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
    registry = services_of(request).registry

    def describe_model(name: str) -> dict[str, Any]:
        served = registry.peek(name)
        return {
            "name": name,
            "state": registry.describe(name).state,
            "labels": None if served is None else len(served.runner.model.labels),
            "concepts": None if served is None else served.concepts,
        }

    return json_response([describe_model(name) for name in registry.names()])


async def metrics(request: Request) -> Response:
    """``GET /metrics``."""
    return Response(
        services_of(request).metrics.render(),
        headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
    )


@cache
def read_openapi() -> dict[str, Any]:
    """The OpenAPI description: ``openapi.json``, with the version and a HEAD for each GET."""
    text = (files("pictag.server") / "openapi.json").read_text(encoding="utf-8")
    description: dict[str, Any] = json.loads(text)
    description["info"]["version"] = __version__
    for item in description["paths"].values():
        if "get" in item:
            replies = {status: {"description": "No body."} for status in item["get"]["responses"]}
            item["head"] = item["get"] | {"responses": replies}
    return description


async def openapi(request: Request) -> Response:
    """``GET /openapi.json``."""
    return json_response(read_openapi())
