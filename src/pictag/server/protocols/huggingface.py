"""Hugging Face inference: an image, or JSON with base64 in it, gives a list of labels with their scores."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pictag.errors import EngineError, InputError, shorten
from pictag.images import Source
from pictag.images.sniff import HEAD_BYTES, recognise
from pictag.server.bodies import decode_image_text, parse_aside, parse_json
from pictag.server.classification import (
    check_count_of_images,
    check_room,
    classify_each,
    classify_one,
    use_model,
)
from pictag.server.exchange import answer_json
from pictag.server.readiness import find_model
from pictag.server.refusals import BadRequest, describe_error
from pictag.server.scoring import Scoring, read_scoring, refuse_unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pictag import ImageClassificationPipeline
    from pictag.server.exchange import Exchange
    from pictag.server.refusals import Reply

_MEMBERS = ("inputs", "parameters", "options")  # options are for the Hub's own servers: waiting, caching
_MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRequest:
    """What is asked for: ``is_list`` says that the images came as a list, and so do their results."""

    images: tuple[bytes | Source, ...]
    is_list: bool
    scoring: Scoring


def parse_request(
    body: bytes,
    query: Mapping[str, str],
    *,
    content_type: str,
    default_top_k: int,
    allow_urls: bool,
) -> ClassifyRequest:
    """The request in a body that is an image or JSON: its content decides, not what it is called.

    >>> parse_request(b"GIF89a...", {}, content_type="", default_top_k=5, allow_urls=False).scoring.top_k
    5
    """
    if not body:
        raise BadRequest("The body is empty: send an image, or JSON with an image in base64 as 'inputs'.")
    if is_json(body, content_type):
        return _parse_json_request(body, query, default_top_k=default_top_k, allow_urls=allow_urls)
    if _kind_of(content_type) == "multipart/form-data":
        raise BadRequest(
            "Forms are taken at /predictions/{model}; here, send the image itself as the body "
            "(curl --data-binary @photo.jpg)."
        )
    return ClassifyRequest(
        images=(body,), is_list=False, scoring=read_scoring({}, query, default_top_k=default_top_k)
    )


def is_json(body: bytes, content_type: str) -> bool:
    """Whether a body is JSON and no image: its content decides where its type may be wrong.

    >>> is_json(b' {"inputs": ""}', "image/png"), is_json(b"GIF89a", "application/json")
    (True, False)
    """
    return body[:64].lstrip()[:1] == b"{" or (
        _kind_of(content_type) == "application/json" and recognise(body[:HEAD_BYTES]) is None
    )


def _kind_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _parse_json_request(
    body: bytes, query: Mapping[str, str], *, default_top_k: int, allow_urls: bool
) -> ClassifyRequest:
    value = parse_json(body, max_numbers=_MAX_VALUES)
    if not isinstance(value, dict):
        raise BadRequest("The JSON body is not an object with the member 'inputs'.")
    refuse_unknown(value, _MEMBERS, what="member")
    parameters = value.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise BadRequest("'parameters' is not an object.")
    scoring = read_scoring(parameters or {}, query, default_top_k=default_top_k)
    inputs = value.get("inputs")
    if inputs is None:
        raise BadRequest("The JSON body has no 'inputs': an image in base64, or a list of them.")
    several = inputs if isinstance(inputs, list) else [inputs]
    check_count_of_images(len(several))
    images = tuple(read_input(text, allow_urls=allow_urls) for text in several)
    return ClassifyRequest(images=images, is_list=isinstance(inputs, list), scoring=scoring)


def read_input(text: object, *, allow_urls: bool) -> bytes | Source:
    """The image that one of the ``inputs`` is: base64, a ``data:`` URL or, where allowed, a URL."""
    if not isinstance(text, str) or not text:
        raise BadRequest("'inputs' is not a text in base64, nor a list of such texts.")
    if "://" in text[:16]:
        if not text.lower().startswith(("http://", "https://")):
            raise BadRequest(f"'inputs' is no base64, and {shorten(text, 16)}: URLs are not read.")
        if not allow_urls:
            raise BadRequest(
                "'inputs' is a URL, and this server reads none. Send the image itself in base64, or start "
                "the server with --allow-urls."
            )
        return Source(name=text, kind="url", value=text)
    return decode_image_text(text)


async def classify(call: Exchange) -> Reply:
    """``POST /`` and ``POST /models/{model}``."""
    services = call.services
    name = call.model = call.path_params.get("model") or services.registry.default
    find_model(services, name)  # a model that there is not is refused before its image is read
    query = call.query()
    check_room(call, name)
    body = await call.read()
    content_type = call.header(b"content-type") or ""
    parse = partial(
        parse_request,
        body,
        query,
        content_type=content_type,
        default_top_k=services.settings.default_top_k,
        allow_urls=services.settings.allow_urls,
    )
    request = await parse_aside(len(body) if is_json(body, content_type) else 0, parse)
    del parse
    del body
    deadline_s = call.deadline_s()
    async with use_model(call, name, deadline_s=deadline_s) as served:
        classifier = served.classifier
        request.scoring.choose(classifier)
        if not request.is_list:
            logits = await classify_one(call, served, request.images[0], deadline_s=deadline_s)
            return answer_json(_entries(request.scoring, classifier, logits))
        results = await classify_each(call, served, request.images, deadline_s=deadline_s)
        return answer_json(
            [
                json.loads(describe_error(result, request_id=call.request_id, v2=False).body)
                if isinstance(result, InputError | EngineError)
                else _entries(request.scoring, classifier, result)
                for result in results
            ]
        )


def _entries(
    scoring: Scoring, classifier: ImageClassificationPipeline, logits: NDArray[np.float32]
) -> list[dict[str, Any]]:
    return [{"label": label.label, "score": label.score} for label in scoring.pick(classifier, logits)]
