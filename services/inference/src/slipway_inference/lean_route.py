"""A route whose endpoint takes the bare request: documented like any other, without the cost of
parameter handling on the path that every prediction takes.
"""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.types import Receive, Scope, Send


class LeanRoute(APIRoute):
    """Answers with `await endpoint(request)`; what it takes is documented by `openapi_extra`.

    Errors go to the application's handlers, as from any route.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = self._answer

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self.endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
