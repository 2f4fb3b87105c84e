"""Finding the route of a request. Model names may contain slashes, so paths are ambiguous."""

from __future__ import annotations

from collections.abc import Container, MutableMapping, Sequence
from typing import Any

from starlette.routing import Match, Route

from pictag.errors import shorten
from pictag.server.http_errors import MethodNotAllowed, RouteNotFound

Scope = MutableMapping[str, Any]


class Router:
    """Routes in the order in which they are tried; ``models`` are the names of the served models.

    ``/v2/models/a/infer`` may address a model ``a`` or a model ``a/infer``. A route that takes the request's
    method and names an existing model wins, so that every model can be reached. Otherwise the first route
    that matches the path decides what the error says and which methods are allowed.
    """

    def __init__(self, routes: Sequence[Route], *, models: Container[str]) -> None:
        self._routes = routes
        self._models = models

    def find(self, scope: Scope) -> Route:
        """The route of a request; its ``path_params`` are added to the scope.

        Raises `RouteNotFound`, and `MethodNotAllowed` with the methods that the path takes.
        """
        first: Route | None = None
        fallback: tuple[Route, Scope] | None = None
        allowed: set[str] = set()
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.NONE:
                continue
            if match is Match.FULL:
                model = found["path_params"].get("model")
                if model is None or model in self._models:
                    scope.update(found)
                    return route
            first = first or route
            if route.path == first.path:
                allowed |= route.methods or set()
                if match is Match.FULL and fallback is None:
                    fallback = route, found
        if fallback is not None:
            scope.update(fallback[1])
            return fallback[0]
        if first is None:
            path = shorten(scope["path"], 80)
            raise RouteNotFound(f"There is no path {path}. /openapi.json lists all paths.")
        methods = tuple(sorted(allowed))
        raise MethodNotAllowed(f"This path takes {', '.join(methods)}.", allowed=methods)
