"""TorchServe's inference API: an image gives an object with its five best labels and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.pipelines.results import make_scorer
from pictag.server.classification import check_room, classify_one, use_model
from pictag.server.http_errors import BadRequest, ModelNotServed, json_response
from pictag.server.protocols.forms import read_field
from pictag.server.protocols.signature import VERSION
from pictag.server.scoring import read_scoring

if TYPE_CHECKING:
    from starlette.responses import Response

    from pictag.server.request import Request

_FIELDS = ("data", "body")
_TOP_K = 5  # as TorchServe, whatever default_top_k is
_VERSIONS = (VERSION, f"{VERSION}.0")


async def ping(request: Request) -> Response:
    """``GET /ping``."""
    request.services.check_ready()
    return json_response({"status": "Healthy"})


async def predict(request: Request) -> Response:
    """``POST`` or ``PUT`` to ``/predictions/{model}`` or ``/predictions/{model}/{version}``."""
    model = request.model = _find_model(request)
    scoring = read_scoring({}, request.query(), default_top_k=_TOP_K)
    check_room(request, model)
    body = await request.read()
    content_type = request.header(b"content-type") or ""
    if content_type.lower().startswith("multipart/form-data"):
        body = read_field(body, content_type, _FIELDS)
    if not body:
        raise BadRequest("There is no image. Send it as the body or as the field 'data' of a form.")
    deadline_s = request.deadline_s()
    async with use_model(request, model, deadline_s=deadline_s) as served:
        scorer = make_scorer(served.runner.model, scoring)
        outcome = await classify_one(request, served, body, deadline_s=deadline_s)
        scores: dict[str, float] = {}
        for label in scorer.pick(outcome):
            scores.setdefault(label.label, label.score)  # the best one of labels with the same name
        return json_response(scores)


def _find_model(request: Request) -> str:
    """The model that the path names, with or without a version. Raises `ModelNotServed`."""
    registry, path = request.services.registry, request.path_params["model"]
    name, _, version = path.rpartition("/")
    if path in registry.names() or name not in registry.names():
        return registry.check(path)
    if version not in _VERSIONS:
        raise ModelNotServed(f"The model {name} has no version {version[:40]!r}, only {VERSION!r}.")
    return name
