"""The table of routes: from it requests are dispatched, and the API document is made.

Routes are declared on FastAPI routers. A lean route's endpoint takes the bare request, so it is
called without FastAPI's router, middleware and parameter handling, which cost more than all else
that the server does for a prediction.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send


def route_method(method: str) -> str:
    """Return the method whose route answers: that of GET for HEAD, whose response has no body
    (RFC 9110 9.3.2). The connection leaves it out.
    """
    return "GET" if method == "HEAD" else method


class LeanRoute(APIRoute):
    """A route that responds with `await endpoint(request)`; `openapi_extra` documents its
    parameters and body.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = self._respond

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


class RouteTable:
    """Finds what handles a request among the routes of an API."""

    def __init__(self, api: FastAPI) -> None:
        self._api = api
        lean = [route for route in api.routes if isinstance(route, LeanRoute)]
        self._with_parameters = [route for route in lean if route.param_convertors]
        self._fixed = {
            (method, route.path): route
            for route in lean
            if not route.param_convertors
            for method in route.methods or ()
        }

    def find(self, scope: Scope) -> LeanRoute | None:
        """Return the lean route of a request, or None when the request is FastAPI's. Parameters of
        the path are put into the scope.
        """
        method, path = route_method(scope["method"]), scope["path"]
        route = self._fixed.get((method, path))
        if route is not None:
            return route
        for route in self._with_parameters:
            if method in (route.methods or ()) and (matched := route.path_regex.match(path)):
                scope["path_params"] = matched.groupdict()
                return route
        return None

    def handler(self, scope: Scope, route: LeanRoute | None) -> ASGIApp:
        """Return the ASGI application that answers: the route, or else FastAPI."""
        scope["app"] = self._api
        return route.app if route is not None else self._dispatch

    def allowed_methods(self, scope: Scope) -> set[str]:
        """Return the methods of all routes at a request's path; Starlette names the first's."""
        methods = {
            method
            for route in self._api.routes
            if route.matches(scope)[0] is not Match.NONE
            for method in getattr(route, "methods", None) or ()
        }
        return methods | {"HEAD"} if "GET" in methods else methods

    async def _dispatch(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._api({**scope, "method": route_method(scope["method"])}, receive, send)
