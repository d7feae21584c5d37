"""/openapi.json, and /docs: the API document as a page that needs no internet."""

from __future__ import annotations

from importlib.resources import files

import orjson
from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

from slipway_core.errors import RouteNotFound
from slipway_inference.http.bodies import JSON
from slipway_inference.http.routing import LeanRoute

_MEDIA_TYPES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


def create_router() -> APIRouter:
    """Return the routes of the API document."""
    router = APIRouter(include_in_schema=False, route_class=LeanRoute)

    @router.get("/openapi.json")
    async def read_document(request: Request) -> Response:
        return Response(orjson.dumps(request.app.openapi()), media_type=JSON)

    @router.get("/docs")
    async def read_page(request: Request) -> Response:
        # Relative addresses work behind a proxy's prefix and below /models/<name> too.
        page = get_swagger_ui_html(
            openapi_url="openapi.json",
            title="Slipway",
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _POLICY
        return page

    @router.get("/docs/{name}")
    async def read_asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _MEDIA_TYPES:
            raise RouteNotFound("there is nothing at this path; /docs is the page")
        content = (files("fastapi_offline") / "static" / name).read_bytes()
        headers = {"Cache-Control": "max-age=3600"}
        return Response(content, headers=headers, media_type=_MEDIA_TYPES[name])

    return router
