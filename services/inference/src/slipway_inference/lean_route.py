"""A route whose endpoint takes the bare request: documented like any other, without the cost of
parameter handling on the path that every prediction takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send


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


def fixed_routes(routes: Iterable[BaseRoute]) -> dict[tuple[str, str], ASGIApp]:
    """The lean routes at fixed paths, by method and path: they need no router to be found."""
    return {
        (method, route.path): route.app
        for route in routes
        if isinstance(route, LeanRoute) and not route.param_convertors
        for method in route.methods or ()
    }
