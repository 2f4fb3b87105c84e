"""Finding the route of a request. Model names may contain slashes, so paths are ambiguous."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from starlette.routing import BaseRoute, Match, Router
from starlette.types import Receive, Scope, Send


class ModelRouter(Router):
    """Starlette's router, except for paths with a model's name; ``models`` are the names of the models.

    ``/v2/models/a/infer`` may address a model ``a`` or a model ``a/infer``. A route that takes the request's
    method and names an existing model wins, so that every model can be reached. Otherwise the first route
    that matches the path decides what the error says and which methods are allowed.
    """

    def __init__(self, routes: Sequence[BaseRoute], *, models: Container[str], **options: Any) -> None:
        super().__init__(routes, **options)
        self._models = models

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the route that a request addresses."""
        if scope["type"] != "http":
            await super().app(scope, receive, send)
            return
        found: tuple[BaseRoute, Scope] | None = None
        for route in self.routes:
            match, child = route.matches(scope)
            if match is Match.NONE:
                continue
            found = found or (route, child)
            model = child["path_params"].get("model")
            if match is Match.FULL and (model is None or model in self._models):
                found = route, child
                break
        if found is None:
            await self.not_found(scope, receive, send)
            return
        scope["route"], child = found
        scope.update(child)
        await found[0].handle(scope, receive, send)
