"""An inference request of the Open Inference Protocol, parsed and checked against the model."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pictag.errors import shorten
from pictag.options import check_count
from pictag.server.bodies import parse_json
from pictag.server.classification import check_count_of_images
from pictag.server.protocols.tensors import FLOATS, check_shape, read_images, read_numbers
from pictag.server.refusals import BadRequest
from pictag.server.scoring import MAX_TOP_K

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pictag.server.protocols.signature import Signature

IMAGES = "image"  # the name of the BYTES input that every model has beside its tensor
SCORES = "scores"  # the name of the output that has had its softmax or sigmoid
_SHARED_MEMORY = "shared_memory_region"
_DIGITS_OF_A_LENGTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedOutput:
    """``classification`` is how many labels as text, ``None`` for the numbers themselves."""

    name: str
    classification: int | None
    is_binary: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InferRequest:
    """Either ``images`` or ``tensor`` [N, C, H, W], in the graph's layout, is there."""

    id: str | None
    images: tuple[bytes, ...]
    tensor: NDArray[np.float32] | None
    outputs: tuple[RequestedOutput, ...]
    timeout_s: float | None


def count_json(body: bytes, header_length: str | None) -> int:
    """The bytes of a body that are JSON, if it is what ``Inference-Header-Content-Length`` says.

    >>> count_json(b'{"inputs": []}', None), count_json(b"an image", "0"), count_json(b"{}", "no number")
    (14, 0, 0)
    """
    if header_length is None:
        return len(body)
    return min(len(body), int(header_length)) if _is_length(header_length) else 0


def _is_length(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS_OF_A_LENGTH


def split_body(body: bytes, header_length: str | None) -> tuple[dict[str, Any] | None, memoryview]:
    """The JSON head (``None`` where the body is one image) and the binary tail of a request.

    ``header_length`` is the header ``Inference-Header-Content-Length``. Raises `BadRequest`.
    """
    view = memoryview(body)
    if header_length is None:
        head, tail = body, view[:0]
    else:
        if not _is_length(header_length):
            raise BadRequest(
                f"Inference-Header-Content-Length={shorten(repr(header_length), 40)} is no whole number."
            )
        length = int(header_length)
        if length > len(body):
            raise BadRequest(
                f"Inference-Header-Content-Length is {length:,}, but the body has only {len(body):,} bytes."
            )
        if length == 0:
            return None, view
        head, tail = body[:length], view[length:]
    value = parse_json(head)
    if not isinstance(value, dict):
        raise BadRequest("The inference request is no JSON object.")
    return value, tail


def parse_infer(body: bytes, header_length: str | None, signature: Signature) -> InferRequest:
    """The request in a body; raises `BadRequest` for what contradicts itself or the model's ``signature``."""
    head, tail = split_body(body, header_length)
    if head is None:
        if not tail:
            raise BadRequest("The body is empty: send an image, or an inference request.")
        output = RequestedOutput(name=signature.output, classification=None, is_binary=False)
        return InferRequest(id=None, images=(body,), tensor=None, outputs=(output,), timeout_s=None)
    request_id = head.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise BadRequest("'id' is a text.")
    parameters = _read_object(head, "parameters")
    if parameters.get("sequence_id"):
        raise BadRequest("This model keeps nothing from one request to the next: leave sequence_id out.")
    inputs = head.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise BadRequest(f"'inputs' has one tensor: {signature.input!r}, or {IMAGES!r} with images.")
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
            f"The model has no input {shorten(repr(name), 80)}; {signature.input!r} is for a tensor of "
            f"numbers and {IMAGES!r} for images in a tensor of BYTES."
        )
    parameters = _read_object(tensor, "parameters")
    if _SHARED_MEMORY in parameters:
        raise BadRequest("Shared memory is not read; send the tensor's data.")
    shape = check_shape(tensor.get("shape"))
    data = _find_data(tensor, parameters, tail)
    if datatype == "BYTES":
        check_count_of_images(math.prod(shape))
        return tuple(read_images(data, shape)), None
    if not isinstance(datatype, str) or datatype not in FLOATS or name == IMAGES:
        raise BadRequest(
            f"datatype={shorten(repr(datatype), 40)} is not taken for {name!r}: numbers come in "
            f"{', '.join(FLOATS)}, images in BYTES."
        )
    if len(shape) == 4:
        check_count_of_images(shape[0])
    signature.check(shape)
    return (), read_numbers(data, shape, datatype)


def _find_data(tensor: dict[str, Any], parameters: dict[str, Any], tail: memoryview) -> object:
    size = parameters.get("binary_data_size")
    if size is None:
        if tail:
            raise BadRequest(f"There are {len(tail):,} bytes behind the JSON that no tensor claims.")
        return tensor.get("data")
    if "data" in tensor:
        raise BadRequest("The tensor has both 'data' and 'binary_data_size': one of them.")
    if isinstance(size, bool) or not isinstance(size, int) or size != len(tail):
        raise BadRequest(
            f"binary_data_size={shorten(repr(size), 40)}, but {len(tail):,} bytes follow the JSON. Its "
            "length is what Inference-Header-Content-Length says."
        )
    return tail


def _read_outputs(
    head: dict[str, Any], parameters: dict[str, Any], signature: Signature
) -> tuple[RequestedOutput, ...]:
    is_binary = _read_flag(parameters, "binary_data_output")
    asked = head.get("outputs") or [{"name": signature.output}]
    if not isinstance(asked, list) or not all(isinstance(output, dict) for output in asked):
        raise BadRequest("'outputs' is a list of objects.")
    found: dict[str, RequestedOutput] = {}
    for output in asked:
        name = output.get("name")
        if name not in (signature.output, SCORES):
            raise BadRequest(
                f"The model has no output {shorten(repr(name), 80)}; there are {signature.output!r}, and "
                f"{SCORES!r} for its scores after softmax or sigmoid."
            )
        if name in found:
            raise BadRequest(f"The output {name!r} is asked for twice.")
        details = _read_object(output, "parameters")
        if _SHARED_MEMORY in details:
            raise BadRequest("Shared memory is not written; take the output from the reply.")
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
    """``timeout`` is in microseconds, as Triton has it; 0 is none."""
    timeout = parameters.get("timeout")
    if timeout is None or (timeout == 0 and not isinstance(timeout, bool)):
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int) or timeout < 0:
        raise BadRequest(f"timeout={shorten(repr(timeout), 40)} is no whole number of microseconds.")
    return min(timeout, 10**12) / 1e6


def _read_object(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BadRequest(f"{name!r} is no object.")
    return found


def _read_flag(parameters: dict[str, Any], name: str, *, default: bool = False) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise BadRequest(f"{name}={shorten(repr(found), 40)} is neither true nor false.")
    return found
