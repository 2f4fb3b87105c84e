"""The Open Inference Protocol (v2), as the HTTP clients of Triton and KServe speak it."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from pictag import __version__
from pictag.errors import shorten
from pictag.postprocess import activate, pick_labels
from pictag.server.bodies import parse_aside, parse_json
from pictag.server.classification import check_room, classify_one, name_images, run_all, use_model
from pictag.server.exchange import answer_json
from pictag.server.protocols.inference import SCORES, count_json, parse_infer
from pictag.server.protocols.signature import (
    VERSION,
    count_fitting,
    describe_config,
    describe_metadata,
    read_signature,
)
from pictag.server.protocols.tensors import join_texts
from pictag.server.readiness import check_model_ready, check_ready, find_model
from pictag.server.refusals import BadRequest, ModelUnknown, Reply
from pictag.server.scoring import Scoring

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline
    from pictag.server.exchange import Exchange
    from pictag.server.protocols.inference import InferRequest, RequestedOutput

EXTENSIONS = ("classification", "binary_tensor_data", "model_configuration")
# Addresses that Triton's clients have calls for, and what they are for. Models may be called so all the same.
NOT_OFFERED = (
    ("/v2/models/stats", "Triton's statistics; /metrics has the server's"),
    ("/v2/models/{name:path}/stats", "Triton's statistics; /metrics has the server's"),
    ("/v2/trace/setting", "tracing"),
    ("/v2/models/{name:path}/trace/setting", "tracing"),
    ("/v2/logging", "settings of the log"),
    ("/v2/systemsharedmemory/{rest:path}", "shared memory; send the tensor's data"),
    ("/v2/cudasharedmemory/{rest:path}", "shared memory; send the tensor's data"),
    ("/v2/repository/models/{name:path}/load", "loading of models by clients"),
    ("/v2/repository/models/{name:path}/unload", "unloading of models by clients"),
)
_MAX_INDEX_VALUES = 100


async def describe_server(call: Exchange) -> Reply:
    """``GET /v2``."""
    return answer_json({"name": "pictag", "version": __version__, "extensions": EXTENSIONS})


async def say_live(call: Exchange) -> Reply:
    """``GET /v2/health/live``."""
    return answer_json({"live": True})


async def say_ready(call: Exchange) -> Reply:
    """``GET /v2/health/ready``; not ready is an error, of status 400 in this protocol."""
    check_ready(call.services)
    return answer_json({"ready": True})


async def say_model_ready(call: Exchange) -> Reply:
    """``GET /v2/models/{model}/ready``."""
    name = _find_version(call)
    check_model_ready(call.services, name)
    return answer_json({"name": name, "ready": True})


async def describe_model(call: Exchange) -> Reply:
    """``GET /v2/models/{model}``: loads the model where it is not, for its files say what it takes."""
    name = _find_version(call)
    async with use_model(call, name, deadline_s=call.deadline_s()) as served:
        return answer_json(describe_metadata(name, read_signature(served.classifier)))


async def configure_model(call: Exchange) -> Reply:
    """``GET /v2/models/{model}/config``."""
    name = _find_version(call)
    async with use_model(call, name, deadline_s=call.deadline_s()) as served:
        signature = read_signature(served.classifier)
        most = count_fitting(call.services.settings, signature)
        return answer_json(describe_config(name, signature, max_batch_size=most))


async def list_models(call: Exchange) -> Reply:
    """``POST /v2/repository/index``; ``{"ready": true}`` asks for the models that can be used now."""
    body = await call.read()
    only_ready = await parse_aside(len(body), partial(_wants_ready, body))
    registry = call.services.registry
    entries = []
    for name in registry.names():
        status = registry.describe(name)
        is_ready = status.takes_requests
        if only_ready and not is_ready:
            continue
        entries.append(
            {
                "name": name,
                "version": VERSION,
                "state": "READY" if is_ready else "UNAVAILABLE",
                "reason": "" if is_ready else status.state,
            }
        )
    return answer_json(entries)


def _wants_ready(body: bytes) -> bool:
    value = parse_json(body, max_numbers=_MAX_INDEX_VALUES) if body else {}
    if not isinstance(value, dict):
        raise BadRequest('The body is no JSON object, such as {"ready": true}; it may be empty.')
    ready = value.get("ready")
    if ready is not None and not isinstance(ready, bool):
        raise BadRequest(f"ready={shorten(repr(ready), 40)} is neither true nor false.")
    return bool(ready)


async def infer(call: Exchange) -> Reply:
    """``POST /v2/models/{model}/infer``: one row of results for each image, or one error for them all."""
    name = call.model = _find_version(call)
    check_room(call, name, timeout_s=call.services.settings.max_request_timeout_s)
    body = await call.read()
    async with use_model(call, name, deadline_s=call.deadline_s()) as served:
        classifier = served.classifier
        signature = read_signature(classifier)
        header_length = call.header(b"inference-header-content-length")
        parse = partial(parse_infer, body, header_length, signature)
        request = await parse_aside(count_json(body, header_length), parse)
        del parse
        del body
        deadline_s = call.deadline_s(request.timeout_s)
        if request.tensor is None:
            images = name_images(request.images)
            jobs = [partial(classify_one, call, served, one, deadline_s=deadline_s) for one in images]
        else:
            tensor = signature.order(request.tensor)
            run = call.services.dispatcher.infer
            jobs = [partial(run, served, row, deadline_s=deadline_s) for row in np.split(tensor, len(tensor))]
        rows = await run_all(call, jobs)
        logits = np.stack(rows)
        if request.tensor is not None and np.isnan(logits).any():
            raise BadRequest("The model gave scores that are not numbers (NaN) for this tensor.")
        return make_reply(name, request, logits, classifier)


def make_reply(
    name: str, request: InferRequest, logits: NDArray[np.float32], classifier: ImageClassificationPipeline
) -> Reply:
    """The results [N, L] in the form that was asked for: JSON, with a binary tail where there is any."""
    outputs: list[dict[str, Any]] = []
    tail: list[bytes] = []
    for asked in request.outputs:
        output, data = _make_output(asked, logits, classifier)
        outputs.append(output)
        if data is not None:
            tail.append(data)
    head: dict[str, Any] = {"model_name": name, "model_version": VERSION, "outputs": outputs}
    if request.id is not None:
        head["id"] = request.id
    if not tail:
        return answer_json(head)
    text = json.dumps(head, separators=(",", ":"), allow_nan=False).encode()
    return Reply(
        status=200,
        headers={
            "Content-Type": "application/octet-stream",
            "Inference-Header-Content-Length": str(len(text)),
        },
        body=b"".join([text, *tail]),
    )


def _make_output(
    asked: RequestedOutput, logits: NDArray[np.float32], classifier: ImageClassificationPipeline
) -> tuple[dict[str, Any], bytes | None]:
    values = logits
    if asked.name == SCORES:
        values = activate(logits, Scoring(top_k=1).choose(classifier))
    output: dict[str, Any] = {"name": asked.name}
    if asked.classification is not None:
        rows = [_name_classes(row, asked.classification, classifier.labels) for row in values]
        texts = [text for row in rows for text in row]
        output |= {"datatype": "BYTES", "shape": [len(rows), len(rows[0])]}
        data: bytes | list[Any] = join_texts(texts) if asked.is_binary else texts
    else:
        output |= {"datatype": "FP32", "shape": list(values.shape)}
        if not asked.is_binary and not np.isfinite(values).all():
            raise BadRequest(
                "The model gave numbers for this tensor that JSON does not have; ask for them as binary data."
            )
        data = values.astype("<f4", copy=False).tobytes() if asked.is_binary else values.ravel().tolist()
    if isinstance(data, bytes):
        output["parameters"] = {"binary_data_size": len(data)}
        return output, data
    output["data"] = data
    return output, None


def _name_classes(values: NDArray[np.float32], count: int, labels: Sequence[str]) -> list[str]:
    best = pick_labels(values, labels, top_k=count, min_score=0)
    return [f"{label.score:f}:{label.index}:{label.label}" for label in best]


def _find_version(call: Exchange) -> str:
    """The model that the path names; raises `ModelUnknown` for one, or a version, that there is not."""
    name = find_model(call.services, call.path_params["model"])
    version = call.path_params.get("version", VERSION)
    if version != VERSION:
        raise ModelUnknown(f"The model {name} has no version {version[:40]!r}; there is {VERSION!r}.")
    return name
