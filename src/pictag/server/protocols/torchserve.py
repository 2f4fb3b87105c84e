"""TorchServe's inference API: an image gives an object with its five best labels and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.pipelines.results import make_scorer
from pictag.server.http_errors import BadRequest, ModelNotServed, json_response
from pictag.server.protocols.images import check_form_encoding, read_field
from pictag.server.protocols.signature import VERSION
from pictag.server.requests import read_query, read_scoring
from pictag.server.services import name_images, services_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_FIELDS = ("data", "body")
_TOP_K = 5  # as TorchServe, whatever default_top_k is
_VERSIONS = (VERSION, f"{VERSION}.0")


async def ping(request: Request) -> Response:
    """``GET /ping``."""
    services_of(request).check_ready()
    return json_response({"status": "Healthy"})


async def predict(request: Request) -> Response:
    """``POST`` or ``PUT`` to ``/predictions/{model}`` or ``/predictions/{model}/{version}``."""
    services = services_of(request)
    model = request.state.model = _find_model(request)
    scoring = read_scoring({}, read_query(request), default_top_k=_TOP_K)
    services.check_room(request, model)
    async with services.receive_body(request) as body:
        content_type = request.headers.get("content-type", "")
        is_form = content_type.lower().startswith("multipart/form-data")
        data = await read_field(body, request.headers, _FIELDS) if is_form else body
        if not data:
            raise BadRequest(
                "The request has no image. Send it as the body or as the field 'data' of a form."
            )
        check_form_encoding(data, content_type)
        deadline_s = services.read_deadline(request)
        async with services.use_model(model, deadline_s=deadline_s) as served:
            scorer = make_scorer(served.runner.model, scoring)
            image = name_images([data])[0]
            outcome = await services.dispatcher.classify(served, image, deadline_s=deadline_s)
        scores: dict[str, float] = {}
        for label in scorer.pick(outcome):
            scores.setdefault(label.label, label.score)  # the best one of labels with the same name
        return json_response(scores)


def _find_model(request: Request) -> str:
    """The model that the path names, with or without a version. Raises `ModelNotServed`."""
    registry = services_of(request).registry
    path: str = request.path_params["model"]
    name, _, version = path.rpartition("/")
    if path in registry.names() or name not in registry.names():
        return registry.check(path)
    if version not in _VERSIONS:
        raise ModelNotServed(f"The model {name} has no version {version[:40]!r}, only {VERSION!r}.")
    return name
