"""The graph as it was opened, against what the model's files say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pictag.engines.base import check_graph
from pictag.errors import InvalidModel, shorten

if TYPE_CHECKING:
    from pictag.engines.base import Engine
    from pictag.models.load import Model


def check_model(model: Model, engine: Engine) -> None:
    """Refuse a graph that contradicts the files beside it. Raises `InvalidModel`, which names the file."""
    try:
        check_graph(
            engine.inputs,
            engine.outputs,
            label_count=len(model.labels),
            channels=model.spec.channels,
            size=model.spec.output_size,
            layout=model.layout,
        )
    except InvalidModel as error:
        raise InvalidModel(f"{shorten(model.weights)}: {error}") from error
