"""Responses that are sent while they are made: a slow reader or a drain ends them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from slipway_core.errors import SlipwayError
from slipway_inference.http.context import CLIENT_DISCONNECTED, context_of
from slipway_inference.http.disconnect import while_connected

log = structlog.get_logger("slipway.stream")


class BoundedStream(Response):
    """Sends `chunks` until they end, the client leaves, or it reads nothing for `idle_seconds`.

    `resources` are released at the end; the route has entered them.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        media_type: str,
        idle_seconds: float,
        resources: ExitStack,
    ) -> None:
        super().__init__(media_type=media_type)
        del self.headers["content-length"]
        self.headers["Cache-Control"] = "no-store"
        self.headers["X-Accel-Buffering"] = "no"
        self._chunks = chunks
        self._idle_seconds = idle_seconds
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._resources:
            try:
                with while_connected(scope):
                    await self._send_all(send, only_head=context_of(scope).is_head)
            except ClientDisconnect:
                # The response has begun, so no error can be sent.
                context_of(scope).code = CLIENT_DISCONNECTED

    async def _send_all(self, send: Send, *, only_head: bool) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if only_head:
            await self._send(send, b"", more=False)
            return
        try:
            async for chunk in self._chunks:
                await self._send(send, chunk, more=True)
        except SlipwayError as error:
            # Without the last chunk the client sees that the response is incomplete.
            log.error("a streamed response was cut off", code=error.code, cause=error.message)
            return
        await self._send(send, b"", more=False)

    async def _send(self, send: Send, chunk: bytes, *, more: bool) -> None:
        try:
            async with asyncio.timeout(self._idle_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": more})
        except TimeoutError:
            raise ClientDisconnect from None
