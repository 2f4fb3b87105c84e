"""TorchServe's inference address: an image gives an object with its five best labels and their scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.server.classification import check_room, classify_one, use_model
from pictag.server.exchange import answer_json
from pictag.server.protocols.forms import read_field
from pictag.server.protocols.signature import VERSION
from pictag.server.readiness import check_ready, find_model
from pictag.server.refusals import BadRequest, ModelUnknown
from pictag.server.scoring import read_scoring

if TYPE_CHECKING:
    from pictag.server.exchange import Exchange
    from pictag.server.refusals import Reply

_FIELDS = ("data", "body")
_TOP_K = 5  # TorchServe's own number, whatever the other protocols' default is set to
_VERSIONS = (VERSION, f"{VERSION}.0")


async def say_healthy(call: Exchange) -> Reply:
    """``GET /ping``."""
    check_ready(call.services)
    return answer_json({"status": "Healthy"})


async def predict(call: Exchange) -> Reply:
    """``POST`` or ``PUT`` to ``/predictions/{model}`` or ``/predictions/{model}/{version}``."""
    name = call.model = _find_version(call)
    scoring = read_scoring({}, call.query(), default_top_k=_TOP_K)
    check_room(call, name)
    body = await call.read()
    content_type = call.header(b"content-type") or ""
    if content_type.lower().startswith("multipart/form-data"):
        body = read_field(body, content_type, _FIELDS)
    if not body:
        raise BadRequest("There is no image: send it as the body, or as the field 'data' of a form.")
    deadline_s = call.deadline_s()
    async with use_model(call, name, deadline_s=deadline_s) as served:
        scoring.choose(served.classifier)
        logits = await classify_one(call, served, body, deadline_s=deadline_s)
        found: dict[str, float] = {}
        for label in scoring.pick(served.classifier, logits):
            found.setdefault(label.label, label.score)  # of labels that are called alike, the best
        return answer_json(found)


def _find_version(call: Exchange) -> str:
    path = call.path_params["model"]
    name, slash, version = path.rpartition("/")
    if path in call.services.registry.names() or not slash:
        return find_model(call.services, path)
    if name not in call.services.registry.names():
        return find_model(call.services, path)
    if version not in _VERSIONS:
        raise ModelUnknown(f"The model {name} has no version {version[:40]!r}; there is {VERSION!r}.")
    return name
