"""The Open Inference Protocol (v2) of Triton and KServe, over HTTP."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import Response

from pictag import __version__
from pictag.errors import shorten
from pictag.options import ScoringOptions
from pictag.pipelines.results import make_scorer
from pictag.postprocess import MAX_SCORE, activate, pick_labels
from pictag.server.bodies import parse_json, parse_off_loop
from pictag.server.http_errors import BadRequest, ModelNotServed, RouteNotFound, json_response
from pictag.server.protocols.inference import SCORES, parse_infer
from pictag.server.protocols.signature import (
    VERSION,
    config_of,
    max_batch_size,
    metadata_of,
    read_signature,
)
from pictag.server.protocols.tensors import join_texts
from pictag.server.services import name_images, services_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from numpy.typing import NDArray
    from starlette.requests import Request

    from pictag.execution import Outcome
    from pictag.models.load import Model
    from pictag.server.protocols.inference import InferRequest, RequestedOutput

EXTENSIONS = ("classification", "binary_tensor_data", "model_configuration")
# Paths that Triton's clients can call, and what they are for. A model of that name is still reachable.
NOT_OFFERED = (
    ("/v2/models/stats", "Triton's statistics; see /metrics"),
    ("/v2/models/{name:path}/stats", "Triton's statistics; see /metrics"),
    ("/v2/trace/setting", "tracing"),
    ("/v2/models/{name:path}/trace/setting", "tracing"),
    ("/v2/logging", "log settings"),
    ("/v2/systemsharedmemory/{rest:path}", "shared memory; send the tensor's data"),
    ("/v2/cudasharedmemory/{rest:path}", "shared memory; send the tensor's data"),
    ("/v2/repository/models/{name:path}/load", "loading models on request"),
    ("/v2/repository/models/{name:path}/unload", "unloading models on request"),
)
_MAX_INDEX_VALUES = 100


async def describe_server(request: Request) -> Response:
    """``GET /v2``."""
    return json_response({"name": "pictag", "version": __version__, "extensions": EXTENSIONS})


async def server_live(request: Request) -> Response:
    """``GET /v2/health/live``."""
    return json_response({"live": True})


async def server_ready(request: Request) -> Response:
    """``GET /v2/health/ready``; "not ready" is an error with status 400 in this protocol."""
    services_of(request).check_ready()
    return json_response({"ready": True})


async def model_ready(request: Request) -> Response:
    """``GET /v2/models/{model}/ready``."""
    name = _find_version(request)
    services_of(request).check_ready(name)
    return json_response({"name": name, "ready": True})


async def describe_model(request: Request) -> Response:
    """``GET /v2/models/{model}``; loads the model if necessary, since its files describe its tensors."""
    services, name = services_of(request), _find_version(request)
    async with services.use_model(name, deadline_s=services.read_deadline(request)) as served:
        return json_response(metadata_of(name, read_signature(served.runner)))


async def describe_config(request: Request) -> Response:
    """``GET /v2/models/{model}/config``."""
    services, name = services_of(request), _find_version(request)
    async with services.use_model(name, deadline_s=services.read_deadline(request)) as served:
        signature = read_signature(served.runner)
        count = max_batch_size(services.settings, signature)
        return json_response(config_of(name, signature, max_batch_size=count))


async def list_models(request: Request) -> Response:
    """``POST /v2/repository/index``; ``{"ready": true}`` lists only models that can be used now."""
    services = services_of(request)
    async with services.receive_body(request) as body:
        only_ready = await parse_off_loop(len(body), partial(_wants_ready, body))
    models = map(services.registry.describe, services.registry.names())
    return json_response(
        [
            {
                "name": status.name,
                "version": VERSION,
                "state": "READY" if status.takes_requests else "UNAVAILABLE",
                "reason": "" if status.takes_requests else status.state,
            }
            for status in models
            if status.takes_requests or not only_ready
        ]
    )


def _wants_ready(body: bytes) -> bool:
    value = parse_json(body, max_numbers=_MAX_INDEX_VALUES) if body else {}
    if not isinstance(value, dict):
        raise BadRequest('The body is not a JSON object such as {"ready": true}. It may be empty.')
    ready = value.get("ready")
    if ready is not None and not isinstance(ready, bool):
        raise BadRequest(f"ready={shorten(repr(ready), 40)} is not true or false.")
    return bool(ready)


async def infer(request: Request) -> Response:
    """``POST /v2/models/{model}/infer``: one row of results per image, or one error."""
    services = services_of(request)
    name = request.state.model = _find_version(request)
    services.check_room(request, name, timeout_s=services.settings.max_request_timeout_s)
    async with (
        services.receive_body(request) as body,
        services.use_model(name, deadline_s=services.read_deadline(request)) as served,
    ):
        signature = read_signature(served.runner)
        header_length = request.headers.get("inference-header-content-length")
        parse = partial(parse_infer, body, header_length, signature)
        parsed = await parse_off_loop(len(body), parse)
        del parse, body  # the images are in `parsed`
        deadline_s = services.read_deadline(request, parsed.timeout_s)
        if parsed.tensor is None:
            items: Sequence[Any] = name_images(parsed.images)
            run: Callable[..., Coroutine[Any, Any, Outcome]] = services.dispatcher.classify
        else:
            items = np.split(signature.order(parsed.tensor), len(parsed.tensor))
            run = services.dispatcher.infer
        calls = [partial(run, served, item, deadline_s=deadline_s) for item in items]
        logits = np.concatenate([outcome.logits for outcome in await services.run_all(calls)])
        if parsed.tensor is not None and np.isnan(logits).any():
            raise BadRequest("The model's scores for this tensor are not numbers (NaN).")
        return make_response(name, parsed, logits, served.runner.model)


async def explain_missing(request: Request) -> Response:
    """The paths of `NOT_OFFERED`, which would otherwise be taken for a model's name."""
    raise RouteNotFound(f"This server does not offer {request.scope['route'].name}.")


def make_response(name: str, parsed: InferRequest, logits: NDArray[np.float32], model: Model) -> Response:
    """The results [N, L] as requested: JSON, followed by the binary data if there is any."""
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for requested in parsed.outputs:
        output, data = _make_output(requested, logits, model)
        outputs.append(output)
        if data is not None:
            tail.append(data)
    head: dict[str, Any] = {"model_name": name, "model_version": VERSION, "outputs": outputs}
    if parsed.id is not None:
        head["id"] = parsed.id
    if not tail:
        return json_response(head)
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    return Response(
        b"".join([text, *tail]),
        headers={"Inference-Header-Content-Length": str(len(text))},
        media_type="application/octet-stream",
    )


def _make_output(
    requested: RequestedOutput, logits: NDArray[np.float32], model: Model
) -> tuple[dict[str, Any], bytes | None]:
    values = logits
    if requested.name == SCORES:
        values = activate(logits, make_scorer(model, ScoringOptions()).activation)
    output: dict[str, Any] = {"name": requested.name}
    if requested.classification is not None:
        rows = [_name_classes(row, requested.classification, model.labels) for row in values]
        texts = [text for row in rows for text in row]
        output |= {"datatype": "BYTES", "shape": [len(rows), len(rows[0])]}
        data: bytes | list[Any] = join_texts(texts) if requested.is_binary else texts
    else:
        output |= {"datatype": "FP32", "shape": list(values.shape)}
        if not requested.is_binary:  # JSON has neither infinity nor NaN
            values = np.clip(values, -MAX_SCORE, MAX_SCORE)
            if np.isnan(values).any():
                raise BadRequest(
                    "The model's results include NaN, which JSON doesn't have. Request binary data."
                )
        data = values.astype("<f4", copy=False).tobytes() if requested.is_binary else values.ravel().tolist()
    if isinstance(data, bytes):
        output["parameters"] = {"binary_data_size": len(data)}
        return output, data
    output["data"] = data
    return output, None


def _name_classes(values: NDArray[np.float32], count: int, labels: Sequence[str]) -> list[str]:
    best = pick_labels(values, labels, top_k=count)
    return [f"{label.score:f}:{label.index}:{label.label}" for label in best]


def _find_version(request: Request) -> str:
    """The model that the path names; raises `ModelNotServed` for an unknown model or version."""
    name = services_of(request).registry.check(request.path_params["model"])
    version = request.path_params.get("version", VERSION)
    if version != VERSION:
        raise ModelNotServed(f"The model {name} has no version {version[:40]!r}, only {VERSION!r}.")
    return name
