"""Responses whose body is sent in slices, as fast as the client reads them."""

from __future__ import annotations

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from slipway_inference.http.context import context_of
from slipway_inference.http.large_work import LARGE_BYTES

SLICE_BYTES = 64 * 1024


class BodyResponse(Response):
    """A response with a body of any size. The memory of a large one is reserved until it has been
    sent, so that clients that do not read cannot make the server hold many.

    Raises QueueFull, before it begins, when there is no room.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.body) <= LARGE_BYTES:
            await super().__call__(scope, receive, send)
            return
        context_of(scope).memory.take(len(self.body))
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        body = memoryview(self.body)
        for start in range(0, len(body), SLICE_BYTES):
            part = bytes(body[start : start + SLICE_BYTES])
            more = start + SLICE_BYTES < len(body)
            await send({"type": "http.response.body", "body": part, "more_body": more})
