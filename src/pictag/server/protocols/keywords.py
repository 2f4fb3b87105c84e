"""``POST /v1/keywords``: an image, or JSON with images in base64, gives the rows of ``pictag keywords``.

With ``top_k``, each row also has the labels.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pictag.keywords import KeywordChooser
from pictag.keywords.rows import make_rows
from pictag.options import ScoringOptions, check_count
from pictag.pipelines.results import make_entry, make_scorer
from pictag.server.bodies import parse_off_loop
from pictag.server.protocols.images import is_json, make_reply, parse_images
from pictag.server.requests import check_names, read_number, read_query
from pictag.server.services import services_of
from pictag.server.settings import MAX_TOP_K

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from pictag.execution import Outcome

_PARAMETERS = ("max_keywords", "min_score", "top_k")


async def suggest(request: Request) -> Response:
    """The keywords of one image as an object, of a list of images as a list."""
    services = services_of(request)
    query = read_query(request)
    model = services.registry.check(query.pop("model", services.registry.default))
    request.state.model = model
    check_names(query, _PARAMETERS, what="query parameter")
    services.check_room(request, model)
    async with services.receive_body(request) as body:
        content_type = request.headers.get("content-type", "")
        parse = partial(parse_images, body, content_type=content_type)
        parsed = await parse_off_loop(len(body) if is_json(body, content_type) else 0, parse)
        del parse, body  # the images are in `parsed`
        options = read_parameters(parsed.parameters, query)
        top_k = options.pop("top_k", None)
        deadline_s = services.read_deadline(request)
        async with services.use_model(model, deadline_s=deadline_s) as served:
            known = served.runner.model
            chooser = KeywordChooser(known, **options)
            scorer = make_scorer(known, ScoringOptions(top_k=top_k or 1))
            results = await services.classify_each(served, parsed.images, deadline_s=deadline_s)

        def describe(outcome: Outcome) -> dict[str, Any]:
            scores = scorer.score(outcome)
            labels = scorer.choose(scores)  # raises for scores that are not numbers
            row = {"source": outcome.source, "keywords": make_rows(chooser.choose(scores))}
            return row if top_k is None else row | {"labels": make_entry(labels, as_one=False)}

        return make_reply(request, results, describe, is_list=parsed.is_list)


def read_parameters(parameters: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """The options in a request's JSON, which take precedence over its query.

    Raises `BadRequest` for unknown names, and `OptionError` for an invalid ``top_k``.

    >>> read_parameters({}, {"max_keywords": "5"})
    {'max_keywords': 5}
    """
    check_names(parameters, _PARAMETERS, what="parameter")
    asked: dict[str, Any] = {name: read_number(name, text) for name, text in query.items()}
    asked |= {name: value for name, value in parameters.items() if value is not None}
    if "top_k" in asked:
        asked["top_k"] = check_count("top_k", asked["top_k"], at_most=MAX_TOP_K)
    return asked
