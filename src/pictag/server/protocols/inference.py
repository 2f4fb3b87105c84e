"""Parsing an inference request of the Open Inference Protocol and checking it against the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.errors import shorten
from pictag.options import check_count
from pictag.server.bodies import parse_json
from pictag.server.http_errors import BadRequest
from pictag.server.protocols.tensors import FLOATS, check_shape, read_images, read_numbers
from pictag.server.requests import check_image_count, parse_count
from pictag.server.settings import MAX_TOP_K

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag.server.protocols.signature import Signature

IMAGES = "image"  # an additional BYTES input that every model has
SCORES = "scores"  # an additional output: the scores after softmax or sigmoid
_SHARED_MEMORY = "shared_memory_region"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedOutput:
    """``classification`` is the number of labels to return as text; ``None`` returns the numbers."""

    name: str
    classification: int | None
    is_binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """A request with either ``images`` or a ``tensor`` in the graph's layout."""

    id: str | None
    images: tuple[bytes, ...]
    tensor: NDArray[np.float32] | None
    outputs: tuple[RequestedOutput, ...]
    timeout_s: float | None


def split_body(body: bytes, header_length: str | None) -> tuple[dict[str, Any] | None, memoryview]:
    """The JSON (``None`` if the body is an image) and the binary data of a request.

    ``header_length`` is the header ``Inference-Header-Content-Length``. Raises `BadRequest`.
    """
    view = memoryview(body)
    if header_length is None:
        head, tail = body, view[:0]
    else:
        length = parse_count(header_length)
        if length is None:
            raise BadRequest(
                f"Inference-Header-Content-Length={shorten(repr(header_length), 40)} is not a whole number."
            )
        if length > len(body):
            raise BadRequest(
                f"Inference-Header-Content-Length is {length:,}, but the body has only {len(body):,} bytes."
            )
        if length == 0:
            return None, view
        head, tail = body[:length], view[length:]
    value = parse_json(head)
    if not isinstance(value, dict):
        raise BadRequest("The inference request is not a JSON object.")
    return value, tail


def parse_infer(body: bytes, header_length: str | None, signature: Signature) -> InferRequest:
    """The request in a body; raises `BadRequest` if it is invalid or doesn't match ``signature``."""
    head, tail = split_body(body, header_length)
    if head is None:
        if not tail:
            raise BadRequest("The body is empty. Send an image or an inference request.")
        output = RequestedOutput(name=signature.output, classification=None, is_binary=False)
        return InferRequest(id=None, images=(body,), tensor=None, outputs=(output,), timeout_s=None)
    request_id = head.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise BadRequest("'id' is not a string.")
    parameters = _read_object(head, "parameters")
    if parameters.get("sequence_id"):
        raise BadRequest("This model is stateless. Leave sequence_id out.")
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadRequest(f"'inputs' must have one tensor: {signature.input!r}, or {IMAGES!r} with images.")
    images, tensor = _read_input(inputs[0], tail, signature)
    return InferRequest(
        id=request_id,
        images=images,
        tensor=tensor,
        outputs=_read_outputs(head, parameters, signature),
        timeout_s=_read_timeout(parameters),
    )


def _read_input(
    tensor: dict[str, Any], tail: memoryview, signature: Signature
) -> tuple[tuple[bytes, ...], NDArray[np.float32] | None]:
    name, datatype = tensor.get("name"), tensor.get("datatype")
    if name not in (signature.input, IMAGES):
        raise BadRequest(
            f"The model has no input {shorten(repr(name), 80)}. Use {signature.input!r} for a tensor of "
            f"numbers or {IMAGES!r} for images in a BYTES tensor."
        )
    parameters = _read_object(tensor, "parameters")
    if _SHARED_MEMORY in parameters:
        raise BadRequest("Shared memory is not supported. Send the tensor's data.")
    shape = check_shape(tensor.get("shape"))
    data = _find_data(tensor, parameters, tail)
    if datatype == "BYTES":
        check_image_count(math.prod(shape))
        return tuple(read_images(data, shape)), None
    if not isinstance(datatype, str) or datatype not in FLOATS or name == IMAGES:
        raise BadRequest(
            f"datatype={shorten(repr(datatype), 40)} is not supported for {name!r}. Numbers must be "
            f"{', '.join(FLOATS)}; images must be BYTES."
        )
    if len(shape) == 4:
        check_image_count(shape[0])
    signature.check(shape)
    return (), read_numbers(data, shape, datatype)


def _find_data(tensor: dict[str, Any], parameters: dict[str, Any], tail: memoryview) -> object:
    size = parameters.get("binary_data_size")
    if size is None:
        if tail:
            raise BadRequest(f"No tensor claims the {len(tail):,} bytes after the JSON.")
        return tensor.get("data")
    if "data" in tensor:
        raise BadRequest("The tensor has both 'data' and 'binary_data_size'. Send only one.")
    if isinstance(size, bool) or not isinstance(size, int) or size != len(tail):
        raise BadRequest(
            f"binary_data_size={shorten(repr(size), 40)}, but {len(tail):,} bytes follow the JSON, "
            "whose length Inference-Header-Content-Length gives."
        )
    return tail


def _read_outputs(
    head: dict[str, Any], parameters: dict[str, Any], signature: Signature
) -> tuple[RequestedOutput, ...]:
    is_binary = _read_flag(parameters, "binary_data_output")
    requested = head.get("outputs") or [{"name": signature.output}]
    if not isinstance(requested, list) or not all(isinstance(output, dict) for output in requested):
        raise BadRequest("'outputs' is not a list of objects.")
    found: dict[str, RequestedOutput] = {}
    for output in requested:
        name = output.get("name")
        if name not in (signature.output, SCORES):
            raise BadRequest(
                f"The model has no output {shorten(repr(name), 80)}. Use {signature.output!r}, or "
                f"{SCORES!r} for the scores after softmax or sigmoid."
            )
        if name in found:
            raise BadRequest(f"The output {name!r} is requested twice.")
        details = _read_object(output, "parameters")
        if _SHARED_MEMORY in details:
            raise BadRequest("Shared memory is not supported. Take the output from the response.")
        count = details.get("classification")
        if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count != 0):
            count = check_count("classification", count, at_most=MAX_TOP_K)
        found[name] = RequestedOutput(
            name=name,
            classification=count or None,
            is_binary=_read_flag(details, "binary_data", default=is_binary),
        )
    return tuple(found.values())


def _read_timeout(parameters: dict[str, Any]) -> float | None:
    """``timeout`` in microseconds, as in Triton; 0 means none."""
    timeout = parameters.get("timeout")
    if timeout is None or (timeout == 0 and not isinstance(timeout, bool)):
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise BadRequest(f"timeout={shorten(repr(timeout), 40)} is not a whole number of microseconds.")
    return min(timeout, 10**12) / 1e6


def _read_object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRequest(f"{name!r} is not an object.")
    return found


def _read_flag(parameters: dict[str, Any], name: str, *, default: bool = False) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise BadRequest(f"{name}={shorten(repr(found), 40)} is not true or false.")
    return found
