"""``POST /v1/explain``: which areas of an image changed a label's score, as a heatmap or as numbers."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from starlette.responses import Response

from pictag.errors import DeadlineExceeded, shorten
from pictag.explanation import MAX_EDGE, SENTENCE, draw_heat, draw_heatmap
from pictag.images import make_source
from pictag.options import ScoringOptions
from pictag.pipelines.results import gives_probabilities, make_scorer
from pictag.pipelines.score_map import check_method, find_label, map_score
from pictag.server.bodies import parse_off_loop
from pictag.server.http_errors import BadRequest, json_response
from pictag.server.protocols.images import is_json, parse_images
from pictag.server.requests import check_names, read_query
from pictag.server.services import name_images, services_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image
    from starlette.requests import Request

    from pictag.pipelines.score_map import Method, ScoreMap
    from pictag.server.prometheus import Metrics
    from pictag.server.served_model import ServedModel

Form = Literal["png", "heat", "json"]
FORMS: tuple[Form, ...] = ("png", "heat", "json")
_PARAMETERS = ("label", "method", "format")
_HEAT_EDGES = (320, 1024)  # of the longer side, on the page
_CELLS = 64  # of the longer side of a map in JSON
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainRequest:
    """What is explained, and in which form the client gets it."""

    label: str | int | None
    method: Method
    form: Form


async def explain(request: Request) -> Response:
    """A heatmap of one image, with its legend (``png``) or without (``heat``), or the numbers (``json``)."""
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
        del parse, body  # the image is in `parsed`
        if parsed.is_list:
            raise BadRequest("One image is explained at a time: 'inputs' is a string, not a list.")
        asked = read_parameters(parsed.parameters, query)
        deadline_s = services.read_deadline(request)
        async with services.use_model(model, deadline_s=deadline_s) as served:
            if asked.label is not None:
                find_label(served.runner.model.labels, asked.label)
            is_over = threading.Event()
            observe = make_observer(served, asked, services.metrics, deadline_s=deadline_s, is_over=is_over)
            explaining = replace(served, runner=replace(served.runner, observe=observe))
            (image,) = name_images(parsed.images)
            with services.hold_explanation():
                try:
                    outcome = await services.dispatcher.classify(explaining, image, deadline_s=deadline_s)
                finally:
                    is_over.set()
    found: Response = outcome.observed
    return found


def read_parameters(parameters: Mapping[str, Any], query: Mapping[str, str]) -> ExplainRequest:
    """The options in a request's JSON, which take precedence over its query. Raises `BadRequest`.

    >>> read_parameters({}, {"label": "tabby", "format": "json"}).form
    'json'
    """
    check_names(parameters, _PARAMETERS, what="parameter")
    asked = {**query, **{name: value for name, value in parameters.items() if value is not None}}
    label, form = asked.get("label"), asked.get("format", "png")
    if not isinstance(label, str | int | None) or isinstance(label, bool):
        raise BadRequest(f"label={shorten(repr(label), 60)} is neither a label nor an index.")
    if form not in FORMS:
        raise BadRequest(f"format={shorten(repr(form), 60)} is not one of {', '.join(FORMS)}.")
    method = asked.get("method", "auto")
    check_method(method)
    return ExplainRequest(label=label, method=method, form=form)


def make_observer(
    served: ServedModel,
    asked: ExplainRequest,
    metrics: Metrics,
    *,
    deadline_s: float,
    is_over: threading.Event,
) -> Callable[[Image.Image], Response]:
    """What a worker calls with the decoded image. Its result is the response.

    It stops at the deadline, and when the client has left.
    """
    model = served.runner.model
    scorer = make_scorer(model, ScoringOptions())

    def stop_if_late(_done: int, _total: int) -> None:
        if is_over.is_set() or time.monotonic() > deadline_s:
            raise DeadlineExceeded("The request's deadline passed before its image was explained.")

    def observe(image: Image.Image) -> Response:
        maps = served.runners.open_maps() if check_method(asked.method) else None
        source = make_source(image)
        found = map_score(
            served.runner,
            source,
            asked.label,
            scorer=scorer,
            maps=maps,
            max_edge=MAX_EDGE,
            on_progress=stop_if_late,
        )
        metrics.explanations.labels(served.name, found.method).inc()
        if asked.form == "json":
            return json_response(describe(found))
        stream = io.BytesIO()
        if asked.form == "heat":
            drawn = draw_heat(found, _HEAT_EDGES)
        else:
            percent = gives_probabilities(model, ScoringOptions())
            drawn = draw_heatmap(found, model=served.name, percent=percent)
        drawn.save(stream, "PNG")
        return Response(stream.getvalue(), media_type="image/png")

    return observe


def describe(found: ScoreMap) -> dict[str, Any]:
    """A map as JSON's own types: at most 64 cells per side, ``null`` where the model saw nothing."""
    scale = min(1.0, _CELLS / max(found.values.shape))
    height, width = (max(1, round(side * scale)) for side in found.values.shape)
    rows, columns = (
        ((np.arange(cells) + 0.5) * side / cells).astype(int)
        for cells, side in zip((height, width), found.values.shape, strict=True)
    )
    cells = found.values[np.ix_(rows, columns)]
    values = [
        [round(value, _DIGITS) if value == value else None for value in row]  # noqa: PLR0124 - NaN isn't itself
        for row in cells.tolist()
    ]
    return {
        "label": found.label.label,
        "score": found.label.score,
        "index": found.label.index,
        "method": found.method,
        "about": SENTENCE,
        "map": {"height": height, "width": width, "values": values},
    }
