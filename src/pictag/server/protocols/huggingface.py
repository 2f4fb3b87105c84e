"""Hugging Face inference: an image, or JSON with images in base64, gives labels and scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pictag.errors import EngineError, InputError, shorten
from pictag.images import Source
from pictag.images.sniff import HEAD_BYTES, recognise
from pictag.pipelines.results import make_entry, make_scorer
from pictag.server.bodies import decode_image_text, parse_json, parse_off_loop
from pictag.server.http_errors import BadRequest, describe_error, json_response
from pictag.server.protocols.forms import check_form_encoding
from pictag.server.requests import check_image_count, check_names, read_query, read_scoring
from pictag.server.services import services_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pictag.execution import Outcome
    from pictag.options import ScoringOptions

_MEMBERS = ("inputs", "parameters", "options")  # options (waiting, caching) only matter on the Hub's servers
_MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagesRequest:
    """A parsed body whose ``parameters`` are still to be read."""

    images: tuple[bytes | Source, ...]
    is_list: bool
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRequest:
    """A parsed body. If the images came as a list (``is_list``), so do their results."""

    images: tuple[bytes | Source, ...]
    is_list: bool
    scoring: ScoringOptions


def parse_request(
    body: bytes,
    query: Mapping[str, str],
    *,
    content_type: str,
    default_top_k: int,
) -> ClassifyRequest:
    """The request in a body that is an image or JSON. The content decides which, not ``content_type``.

    >>> parse_request(b"GIF89a...", {}, content_type="", default_top_k=5).scoring.top_k
    5
    """
    parsed = parse_images(body, content_type=content_type)
    scoring = read_scoring(parsed.parameters, query, default_top_k=default_top_k)
    return ClassifyRequest(images=parsed.images, is_list=parsed.is_list, scoring=scoring)


def parse_images(body: bytes, *, content_type: str) -> ImagesRequest:
    """The images of a body, and the ``parameters`` if it is JSON."""
    if not body:
        raise BadRequest("The body is empty. Send an image, or JSON with an image in base64 as 'inputs'.")
    if is_json(body, content_type):
        return _parse_json_request(body)
    if _media_type(content_type) == "multipart/form-data":
        raise BadRequest(
            "Forms are accepted at /predictions/{model}. Here, send the image itself as the body "
            "(curl --data-binary @photo.jpg)."
        )
    check_form_encoding(body, content_type)
    return ImagesRequest(images=(body,), is_list=False, parameters={})


def is_json(body: bytes, content_type: str) -> bool:
    """Whether a body is JSON rather than an image. A wrong content type is ignored.

    >>> is_json(b' {"inputs": ""}', "image/png"), is_json(b"GIF89a", "application/json")
    (True, False)
    """
    return body[:64].lstrip()[:1] == b"{" or (
        _media_type(content_type) == "application/json" and recognise(body[:HEAD_BYTES]) is None
    )


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def _parse_json_request(body: bytes) -> ImagesRequest:
    value = parse_json(body, max_numbers=_MAX_VALUES)
    if not isinstance(value, dict):
        raise BadRequest("The JSON body is not an object with the member 'inputs'.")
    check_names(value, _MEMBERS, what="member")
    parameters = value.get("parameters")
    if parameters is not None and not isinstance(parameters, dict):
        raise BadRequest("'parameters' is not an object.")
    inputs = value.get("inputs")
    if inputs is None:
        raise BadRequest("The JSON body has no 'inputs': an image in base64, or a list of them.")
    texts = inputs if isinstance(inputs, list) else [inputs]
    check_image_count(len(texts))
    images = tuple(read_input(text) for text in texts)
    return ImagesRequest(images=images, is_list=isinstance(inputs, list), parameters=parameters or {})


def read_input(text: object) -> bytes | Source:
    """The image in one of the ``inputs``: base64, a ``data:`` URL, or a URL."""
    if not isinstance(text, str) or not text:
        raise BadRequest("'inputs' is not a string in base64 or a list of such strings.")
    if "://" in text[:16]:
        if not text.lower().startswith(("http://", "https://")):
            raise BadRequest(f"'inputs' is not base64, and URLs such as {shorten(text, 16)} are not fetched.")
        return Source(name=text, kind="url", value=text)
    return decode_image_text(text)


async def classify(request: Request) -> Response:
    """``POST /`` and ``POST /models/{model}``."""
    services = services_of(request)
    settings = services.settings
    # Before the body is read.
    model = services.registry.check(request.path_params.get("model", services.registry.default))
    request.state.model = model
    query = read_query(request)
    services.check_room(request, model)
    async with services.receive_body(request) as body:
        content_type = request.headers.get("content-type", "")
        parse = partial(
            parse_request,
            body,
            query,
            content_type=content_type,
            default_top_k=settings.default_top_k,
        )
        parsed = await parse_off_loop(len(body) if is_json(body, content_type) else 0, parse)
        del parse, body  # the images are in `parsed`
        deadline_s = services.read_deadline(request)
        async with services.use_model(model, deadline_s=deadline_s) as served:
            scorer = make_scorer(served.runner.model, parsed.scoring)
            results = await services.classify_each(served, parsed.images, deadline_s=deadline_s)

        def describe(outcome: Outcome) -> Any:
            return make_entry(scorer.pick(outcome), as_one=False)

        return make_reply(request, results, describe, is_list=parsed.is_list)


def make_reply(
    request: Request,
    results: Sequence[Outcome | InputError | EngineError],
    describe: Callable[[Outcome], Any],
    *,
    is_list: bool,
) -> Response:
    """The first result, described; with ``is_list`` all of them, with an error for each image that failed.

    Raises the error of a single image.
    """

    def describe_or_raise(result: Outcome | InputError | EngineError) -> Any:
        if isinstance(result, InputError | EngineError):
            raise result
        return describe(result)

    if not is_list:
        return json_response(describe_or_raise(results[0]))
    entries = []
    for result in results:
        try:
            entries.append(describe_or_raise(result))
        except (InputError, EngineError) as error:
            entries.append(describe_error(error, request_id=request.state.request_id))
    return json_response(entries)
