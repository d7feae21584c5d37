"""A route whose endpoint takes the bare request: documented like any other, without the cost of
parameter handling on the path that every prediction takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send


class LeanRoute(APIRoute):
    """Answers with `await endpoint(request)`; what it takes is documented by `openapi_extra`.

    Errors go to whoever called it: the application's handlers, as from any route, or the edge.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


class LeanRoutes:
    """The lean routes among all, to be found without the framework's router."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        lean = [route for route in routes if isinstance(route, LeanRoute)]
        self._with_parameters = [route for route in lean if route.param_convertors]
        self._fixed = {
            (method, route.path): route
            for route in lean
            if not route.param_convertors
            for method in route.methods or ()
        }

    def find(self, scope: Scope) -> LeanRoute | None:
        """The route of a request; parameters of its path are put into the scope."""
        method, path = scope["method"], scope["path"]
        route = self._fixed.get((method, path))
        if route is not None:
            return route
        for route in self._with_parameters:
            if method in (route.methods or ()) and (matched := route.path_regex.match(path)):
                scope["path_params"] = matched.groupdict()
                return route
        return None
