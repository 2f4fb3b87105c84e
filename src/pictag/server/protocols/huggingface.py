"""Hugging Face inference: an image, or JSON with images in base64, gives labels and scores."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from pictag.images import Source
from pictag.pipelines.results import make_entry, make_scorer
from pictag.server.bodies import parse_off_loop
from pictag.server.protocols.images import is_json, make_reply, parse_images
from pictag.server.requests import read_query, read_scoring
from pictag.server.services import services_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from pictag.execution import Outcome
    from pictag.options import ScoringOptions


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
