"""The OpenAPI 3.1 description of the HTTP API."""

from __future__ import annotations

from typing import Any

from pictag import __version__
from pictag.server.openapi_schemas import (
    BINARY,
    FUNCTION,
    MIN_SCORE,
    SCHEMAS,
    TEXT,
    TOP_K,
    Schema,
    refer,
)

_REASONS = {
    400: "The request is invalid; on /v2 also an unusable image, or not ready.",
    401: "The API key is missing or wrong.",
    404: "No such model or version.",
    405: "The model's name ends like another path, which takes other methods: see Allow.",
    408: "The headers or the body were not complete in time.",
    413: "The body is too large.",
    415: "Not an image, or an unsupported format.",
    422: "The image is corrupt or has too many pixels.",
    429: "The server is overloaded. Try again after Retry-After seconds.",
    431: "The request line or the headers are too large.",
    500: "Internal server error.",
    503: "Not ready.",
    504: "The deadline passed before the image was classified.",
}
_JSON = "application/json"
_ANY_REQUEST = (400, 408, 429, 431)  # any request may get these
_CLASSIFY_ERRORS = (401, 404, 413, 415, 422, 500, 504)
_SCORING: Schema = {"top_k": TOP_K, "function_to_apply": FUNCTION, "min_score": MIN_SCORE}
_RAW_IMAGE = {"image/*": {"schema": BINARY}, "application/octet-stream": {"schema": BINARY}}


def describe_interface() -> dict[str, Any]:
    """The complete description, ready for `json.dumps`.

    >>> sorted(describe_interface())
    ['components', 'info', 'openapi', 'paths', 'security']
    """
    paths: Schema = {
        **_describe_hugging_face(),
        **_describe_oip(),
        **_describe_torchserve(),
        **_describe_rest(),
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pictag",
            "version": __version__,
            "description": (
                "Image classification over the protocols of Hugging Face inference, the Open Inference "
                "Protocol (v2) and TorchServe. Model names may contain slashes, unescaped. Bodies may be "
                "compressed with gzip or deflate. Every response has an X-Request-Id, the client's own if it "
                "sent one. A method that a path doesn't take gets 405 with Allow."
            ),
        },
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": {path: _add_head(item) for path, item in paths.items()},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
            },
        },
    }


def _add_head(item: Schema) -> Schema:
    """Every path that takes GET also takes HEAD, whose responses have no body."""
    if "get" not in item:
        return item
    responses = {
        status: {"description": reply["description"]} for status, reply in item["get"]["responses"].items()
    }
    return {**item, "head": {**item["get"], "responses": responses}}


def _describe_hugging_face() -> Schema:
    first = _operation(
        "The server and its models; a web page for clients that accept text/html.",
        reply="Info",
        errors=(401,),
    )
    first["responses"]["200"]["content"]["text/html"] = {"schema": TEXT}
    return {
        "/": {"post": _classification("Classify an image with the default model."), "get": first},
        "/models/{model}": {"post": _classification("Classify an image.", path=("model",))},
        "/models/{model}/health": {
            "get": _operation(
                "Whether a model can be used.",
                reply="Status",
                errors=(404, 503),
                path=("model",),
                is_open=True,
            )
        },
        "/models/{model}/info": {
            "get": _operation("Information about a model.", reply="Info", errors=(401, 404), path=("model",))
        },
    }


def _classification(summary: str, *, path: tuple[str, ...] = ()) -> Schema:
    return _operation(
        summary,
        body={**_RAW_IMAGE, _JSON: {"schema": refer("ClassifyRequest")}},
        reply="ClassifyReply",
        errors=_CLASSIFY_ERRORS,
        query=_SCORING,
        has_deadline=True,
        path=path,
    )


def _describe_oip() -> Schema:
    paths: Schema = {
        "/v2": {"get": _operation("The server and its extensions.", reply="Server", errors=(401,))},
        "/v2/health/live": {"get": _operation("Whether the server is live.", reply="Live", is_open=True)},
        "/v2/health/ready": {"get": _operation("Whether the server is ready.", reply="Ready", is_open=True)},
        "/v2/repository/index": {
            "post": _operation(
                "The models.",
                reply="Index",
                errors=(401, 413),
                body={_JSON: {"schema": refer("IndexRequest")}},
                may_be_empty=True,
            )
        },
    }
    for prefix, path in (
        ("/v2/models/{model}", ("model",)),
        ("/v2/models/{model}/versions/{version}", ("model", "version")),
    ):
        paths[prefix] = {
            "get": _operation(
                "A model's tensors.", reply="ModelMetadata", errors=(401, 404, 500, 504), path=path
            )
        }
        paths[f"{prefix}/ready"] = {
            "get": _operation(
                "Whether a model is ready.", reply="ModelReady", errors=(404,), path=path, is_open=True
            )
        }
        paths[f"{prefix}/config"] = {
            "get": _operation(
                "A model's configuration.", reply="ModelConfig", errors=(401, 404, 500, 504), path=path
            )
        }
        paths[f"{prefix}/infer"] = {
            "post": _operation(
                "Run a model on a tensor or on images: one row of results per image, or one error.",
                body={
                    _JSON: {"schema": refer("InferRequest")},
                    "application/octet-stream": {"schema": BINARY},
                },
                reply="InferReply",
                is_binary_too=True,
                errors=(401, 404, 413, 500, 504),
                headers={
                    "Inference-Header-Content-Length": {
                        "type": "integer",
                        "minimum": 0,
                        "description": "Bytes of JSON before the binary data; 0: the body is an image.",
                    }
                },
                has_deadline=True,
                path=path,
            )
        }
    return paths


def _describe_torchserve() -> Schema:
    paths: Schema = {
        "/ping": {
            "get": _operation("Whether the server is ready.", reply="Status", errors=(503,), is_open=True)
        }
    }
    for address, path in (
        ("/predictions/{model}", ("model",)),
        ("/predictions/{model}/{version}", ("model", "version")),
    ):
        paths[address] = {
            method: _operation(
                "Classify an image: its five best labels and their scores.",
                body={**_RAW_IMAGE, "multipart/form-data": {"schema": refer("Form")}},
                reply="Predictions",
                errors=_CLASSIFY_ERRORS,
                query=_SCORING,
                has_deadline=True,
                path=path,
            )
            for method in ("post", "put")
        }
    return paths


def _describe_rest() -> Schema:
    metrics = _operation("Metrics in Prometheus' text format.", reply=None, errors=(401,))
    metrics["responses"]["200"] = {"description": "The metrics.", "content": {"text/plain": {"schema": TEXT}}}
    return {
        "/health": {
            "get": _operation("Whether the server is ready.", reply="Status", errors=(503,), is_open=True)
        },
        "/info": {"get": _operation("The server and its models.", reply="Info", errors=(401,))},
        "/models": {"get": _operation("The models and their states.", reply="Models", errors=(401,))},
        "/metrics": {"get": metrics},
        "/openapi.json": {"get": _operation("This description.", reply=None, is_open=True)},
    }


def _operation(
    summary: str,
    *,
    reply: str | None,
    errors: tuple[int, ...] = (),
    body: Schema | None = None,
    may_be_empty: bool = False,
    query: Schema | None = None,
    headers: Schema | None = None,
    path: tuple[str, ...] = (),
    has_deadline: bool = False,
    is_binary_too: bool = False,
    is_open: bool = False,
) -> Schema:
    """One operation. ``errors`` are the statuses beyond those that any request may get.

    ``is_open``: no API key required; ``is_binary_too``: the response may contain binary data.
    """
    statuses = sorted({*errors, *_ANY_REQUEST, *((405,) if "model" in path else ())})
    content: Schema = {_JSON: {"schema": refer(reply) if reply is not None else {"type": "object"}}}
    if is_binary_too:
        content["application/octet-stream"] = {"schema": BINARY}
    operation: Schema = {
        "summary": summary,
        "responses": {
            "200": {"description": "Success.", "content": content},
            **{
                str(status): {"description": _REASONS[status], "content": {_JSON: {"schema": refer("Error")}}}
                for status in statuses
            },
        },
    }
    if has_deadline:
        headers = {
            **(headers or {}),
            "X-Request-Timeout-Ms": {
                "type": "integer",
                "minimum": 1,
                "maximum": 10**12 - 1,
                "description": "Time limit in milliseconds from when the body was received; then 504.",
            },
        }
    parameters = [
        *({"name": name, "in": "path", "required": True, "schema": TEXT} for name in path),
        *({"name": name, "in": "query", "schema": schema} for name, schema in (query or {}).items()),
        *({"name": name, "in": "header", "schema": schema} for name, schema in (headers or {}).items()),
    ]
    if parameters:
        operation["parameters"] = parameters
    if body is not None:
        operation["requestBody"] = {"required": not may_be_empty, "content": body}
    if is_open:
        operation["security"] = []
    return operation
