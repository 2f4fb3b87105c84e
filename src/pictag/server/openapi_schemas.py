"""The schemas of the OpenAPI description."""

from __future__ import annotations

from typing import Any

from pictag.options import ACTIVATIONS
from pictag.server.classification import MAX_IMAGES
from pictag.server.scoring import MAX_TOP_K

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BINARY: Schema = {"type": "string", "format": "binary"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
COUNT: Schema = {"type": "integer", "minimum": 0}
TOP_K: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_TOP_K,
    "description": "Number of labels; a number above the model's returns all.",
}
FUNCTION: Schema = {
    "type": "string",
    "enum": list(ACTIVATIONS),
    "description": "The function that turns outputs into scores; default: the model's own.",
}
MIN_SCORE: Schema = {
    "type": "number",
    "default": 0,
    "description": "Labels with a lower score are omitted; 0 omits none.",
}


def refer(name: str) -> Schema:
    """A reference to one of the `SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def make_object(properties: Schema, *, required: tuple[str, ...] = (), closed: bool = False) -> Schema:
    """The schema of an object; if ``closed``, other members are not allowed."""
    schema: Schema = {"type": "object", "properties": properties}
    if required:
        schema["required"] = list(required)
    if closed:
        schema["additionalProperties"] = False
    return schema


def make_list(items: Schema) -> Schema:
    """The schema of a list."""
    return {"type": "array", "items": items}


def _nullable(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_IMAGE_TEXT = TEXT | {
    "contentEncoding": "base64",
    "description": "An image in base64 or as a data: URL; an http(s) URL if the server allows URLs.",
}
_SHAPE = make_list(COUNT)
_SIGNATURE = make_list(
    make_object(
        {"name": TEXT, "datatype": TEXT, "shape": make_list({"type": "integer", "minimum": -1})},
        required=("name", "datatype", "shape"),
    )
)
_DIMENSIONS = make_list(
    make_object({"name": TEXT, "data_type": TEXT, "dims": make_list({"type": "integer", "minimum": -1})})
)

SCHEMAS: dict[str, Schema] = {
    "Error": make_object(
        {
            "error": TEXT,
            "message": TEXT,
            "code": {"type": "integer"},
            "type": TEXT | {"description": "The kind of error, such as corrupt_image."},
            "request_id": TEXT,
        },
        required=("error", "message", "code", "type", "request_id"),
    ),
    "Label": make_object({"label": TEXT, "score": NUMBER}, required=("label", "score")),
    "Labels": make_list(refer("Label")) | {"description": "Best first."},
    "Parameters": make_object(
        {
            "top_k": _nullable(TOP_K),
            "function_to_apply": _nullable(FUNCTION),
            "min_score": _nullable(MIN_SCORE),
        },
        closed=True,
    ),
    "ClassifyRequest": make_object(
        {
            "inputs": {
                "oneOf": [
                    _IMAGE_TEXT,
                    make_list(_IMAGE_TEXT) | {"minItems": 1, "maxItems": MAX_IMAGES},
                ]
            },
            "parameters": _nullable(refer("Parameters")),
            "options": {"description": "Ignored; only for the Hub's own servers."},
        },
        required=("inputs",),
        closed=True,
    ),
    "ClassifyReply": {
        "description": "The labels of one image; for a list of images, each one's labels or error.",
        "anyOf": [refer("Labels"), make_list({"anyOf": [refer("Labels"), refer("Error")]})],
    },
    "Predictions": {
        "type": "object",
        "description": "Scores by label, best first.",
        "additionalProperties": NUMBER,
    },
    "Form": make_object({"data": BINARY}, required=("data",)),
    "Status": make_object({"status": TEXT}, required=("status",)),
    "Models": make_list(
        make_object(
            {
                "name": TEXT,
                "state": {"type": "string", "enum": ["unloaded", "loading", "ready", "failed"]},
                "labels": _nullable(COUNT)
                | {"description": "Number of labels; null before the model is loaded."},
            },
            required=("name", "state", "labels"),
        )
    ),
    "Info": make_object(
        {
            "server": TEXT,
            "version": TEXT,
            "task": TEXT,
            "model_id": TEXT,
            "model_state": TEXT,
            "model_sha": _nullable(TEXT),
            "models": make_list(TEXT),
            "max_body_bytes": COUNT,
            "max_pixels": COUNT,
            "description": TEXT,
        },
        required=("server", "version", "task", "model_id", "models"),
    ),
    "Live": make_object({"live": FLAG}, required=("live",)),
    "Ready": make_object({"ready": FLAG}, required=("ready",)),
    "ModelReady": make_object({"name": TEXT, "ready": FLAG}, required=("name", "ready")),
    "Server": make_object(
        {"name": TEXT, "version": TEXT, "extensions": make_list(TEXT)},
        required=("name", "version", "extensions"),
    ),
    "ModelMetadata": make_object(
        {
            "name": TEXT,
            "versions": make_list(TEXT),
            "platform": TEXT,
            "inputs": _SIGNATURE,
            "outputs": _SIGNATURE,
        },
        required=("name", "versions", "platform", "inputs", "outputs"),
    ),
    "ModelConfig": make_object(
        {
            "name": TEXT,
            "platform": TEXT,
            "backend": TEXT,
            "max_batch_size": COUNT,
            "version_policy": {"type": "object"},
            "input": _DIMENSIONS,
            "output": _DIMENSIONS,
        },
        required=("name", "platform", "max_batch_size", "input", "output"),
    ),
    "Index": make_list(
        make_object(
            {"name": TEXT, "version": TEXT, "state": TEXT, "reason": TEXT},
            required=("name", "version", "state", "reason"),
        )
    ),
    "IndexRequest": make_object(
        {"ready": _nullable(FLAG) | {"description": "true: only the models that can be used now."}}
    ),
    "InferRequest": make_object(
        {
            "id": TEXT | {"description": "Comes back in the reply."},
            "parameters": make_object(
                {
                    "timeout": COUNT | {"description": "Microseconds; 0 is the server's own."},
                    "binary_data_output": FLAG,
                }
            ),
            "inputs": make_list(refer("InferInput")) | {"minItems": 1, "maxItems": 1},
            "outputs": make_list(refer("InferOutput")),
        },
        required=("inputs",),
    ),
    "InferInput": make_object(
        {
            "name": TEXT | {"description": "The model's tensor, or 'image' for images in BYTES."},
            "datatype": {"type": "string", "enum": ["FP32", "FP16", "FP64", "BYTES"]},
            "shape": _SHAPE
            | {"description": "Of a tensor [N, C, H, W] or as the metadata say; of images [N]."},
            "parameters": make_object(
                {"binary_data_size": COUNT | {"description": "How many bytes follow the JSON."}}
            ),
            "data": {
                "type": "array",
                "description": "Numbers, nested or flat; images in base64.",
            },
        },
        required=("name", "datatype", "shape"),
    ),
    "InferOutput": make_object(
        {
            "name": TEXT | {"description": "The model's output, or 'scores' after softmax or sigmoid."},
            "parameters": make_object(
                {
                    "classification": COUNT
                    | {"description": "So many classes as texts 'value:index:label'; 0 for the numbers."},
                    "binary_data": FLAG,
                }
            ),
        },
        required=("name",),
    ),
    "InferReply": make_object(
        {
            "model_name": TEXT,
            "model_version": TEXT,
            "id": TEXT,
            "outputs": make_list(
                make_object(
                    {
                        "name": TEXT,
                        "datatype": {"type": "string", "enum": ["FP32", "BYTES"]},
                        "shape": _SHAPE,
                        "data": {"type": "array"},
                        "parameters": make_object({"binary_data_size": COUNT}),
                    },
                    required=("name", "datatype", "shape"),
                )
            ),
        },
        required=("model_name", "model_version", "outputs"),
    ),
}
