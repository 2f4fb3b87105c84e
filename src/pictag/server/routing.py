"""From an address to what answers there. Names of models have slashes in them, so that addresses overlap."""

from __future__ import annotations

from collections.abc import Container, MutableMapping, Sequence
from typing import Any

from starlette.routing import Match, Route

from pictag.errors import shorten
from pictag.server.refusals import MethodRefused, RouteUnknown

Scope = MutableMapping[str, Any]


class Routes:
    """Routes in the order in which they are tried; ``models`` are the names that there are.

    ``/v2/models/a/infer`` could be the address of a model ``a``, or that of a model ``a/infer``. What takes
    the request's method and names a model that there is comes first, so that every model can be reached.
    Otherwise the first route of that form decides what is wrong, and which methods it takes.
    """

    def __init__(self, routes: Sequence[Route], *, models: Container[str]) -> None:
        self._routes = routes
        self._models = models

    def find(self, scope: Scope) -> Route:
        """The route of a request, whose ``path_params`` go into its scope.

        Raises `RouteUnknown`, and `MethodRefused` with the methods that the address takes.
        """
        refused: Route | None = None
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
            refused = refused or route
            if route.path == refused.path:
                allowed |= route.methods or set()
                if match is Match.FULL and fallback is None:
                    fallback = route, found
        if fallback is not None:
            scope.update(fallback[1])
            return fallback[0]
        if refused is None:
            path = shorten(scope["path"], 80)
            raise RouteUnknown(f"There is nothing at {path}; /openapi.json says what there is.")
        methods = tuple(sorted(allowed))
        raise MethodRefused(f"This path takes {', '.join(methods)}.", allowed=methods)
