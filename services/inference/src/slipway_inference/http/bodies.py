"""Reads request bodies within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from slipway_core.errors import (
    InvalidInput,
    MalformedBody,
    PayloadTooLarge,
    RequestTimeout,
    SlipwayError,
    UnsupportedMediaType,
)
from slipway_inference.http.body_memory import BodyAccount
from slipway_inference.http.context import RequestContext, context_of, is_body_received
from slipway_inference.http.decompression import find_decompressor
from slipway_inference.http.disconnect import while_connected
from slipway_inference.http.large_json import limits_for
from slipway_inference.http.large_work import LARGE_BYTES, LargeWork
from slipway_inference.settings import InferenceSettings

T = TypeVar("T")
Body = bytes | bytearray
"""Only read: an array that has grown with what arrived is not copied into bytes."""

JSON = "application/json"
NDJSON = "application/x-ndjson"
MULTIPART = "multipart/form-data"
BINARY = "application/octet-stream"
MIN_BYTES_PER_SECOND = 1024
"""Slowest rate at which a body may arrive."""
DECODED_BYTES_PER_BYTE = 3
"""Memory reserved for the values of a large body, for each of its bytes: numbers of ten characters
become 32 bytes each.
"""
MAX_SHOWN_MEDIA_TYPE = 64
"""Characters of a client's media type that an error repeats."""
MAX_LENGTH_DIGITS = 19
BODY_ERRORS: tuple[type[SlipwayError], ...] = (
    MalformedBody,
    RequestTimeout,
    PayloadTooLarge,
    UnsupportedMediaType,
    InvalidInput,
)
"""Errors of reading and validating a body."""


def media_type(context: RequestContext, *accepted: str) -> str:
    """Return the body's media type, which is the first of `accepted` when the request names none.

    Raises UnsupportedMediaType when it is not one of `accepted`.
    """
    header = context.header("content-type") or ""
    kind = header.partition(";")[0].strip().lower() or accepted[0]
    if kind not in accepted:
        shown = kind[:MAX_SHOWN_MEDIA_TYPE].encode("ascii", "replace").decode()
        raise UnsupportedMediaType(
            f"send the body as {' or '.join(accepted)}, not '{shown}'"
            f" (curl: -H 'Content-Type: {accepted[0]}')"
        )
    return kind


def check_content_length(context: RequestContext, max_bytes: int) -> None:
    """Raise PayloadTooLarge, or MalformedBody, by the Content-Length, before a byte is read."""
    header = context.header("content-length")
    if header is None:
        return
    if not (header.isascii() and header.isdigit()):
        raise MalformedBody("Content-Length must be a number of bytes")
    if len(header) > MAX_LENGTH_DIGITS or int(header) > max_bytes:
        raise PayloadTooLarge(f"the body has {header[:20]} bytes; at most {max_bytes} are read")


class BodyReader:
    """Reads the bodies of a server's requests."""

    def __init__(self, settings: InferenceSettings, large_work: LargeWork) -> None:
        self.json_limits = limits_for(settings.max_body_bytes)
        """How much the JSON of a body may hold."""
        self._max_bytes = settings.max_body_bytes
        self.large_work = large_work
        self._idle_seconds = settings.body_idle_seconds

    async def read(self, request: Request) -> Body:
        """Return the complete body, unpacked. Its memory counts until the request has ended.

        Raises PayloadTooLarge, MalformedBody, UnsupportedMediaType, RequestTimeout, QueueFull, or
        ClientDisconnect.
        """
        context = context_of(request.scope)
        check_content_length(context, self._max_bytes)
        account = context.memory
        if is_body_received(request.scope) and context.header("content-encoding") is None:
            body = await self._receive_whole(request)
            account.take(len(body))
            return body
        received = bytearray()  # it grows in place: joining chunks would take twice the memory
        with account.while_reading():
            async for chunk in self.stream(request, self._max_bytes, account):
                account.take(len(chunk))
                received += chunk
        return received

    async def parse(self, request: Request, body: Body, parse: Callable[[Body], T]) -> T:
        """Return `parse(body)`. A large body is parsed off the event loop, and memory for what it
        is decoded to is reserved until the request has ended.

        Raises QueueFull, ClientDisconnect, and what `parse` raises.
        """
        if len(body) <= LARGE_BYTES:
            return parse(body)
        context_of(request.scope).memory.take(len(body) * DECODED_BYTES_PER_BYTE)
        with while_connected(request.scope):  # a client that left gives up its turn
            return await self.large_work.run(len(body), lambda: parse(body))

    async def read_json(self, request: Request) -> Body:
        """Return the complete body of a request whose Content-Type is JSON, or missing.

        Raises UnsupportedMediaType, and what `read` raises.
        """
        media_type(context_of(request.scope), JSON)
        return await self.read(request)

    async def _receive_whole(self, request: Request) -> bytes:
        """Return a body that has been received already, so that no timeout is needed."""
        body = _content(await request.receive())
        if len(body) > self._max_bytes:
            raise _too_large(self._max_bytes)
        return body

    async def stream(
        self, request: Request, max_bytes: int, account: BodyAccount | None = None
    ) -> AsyncIterator[bytes]:
        """Yield the unpacked body in chunks as it arrives, and never faster than they are taken.

        Raises RequestTimeout when it stalls, or when `account` has to make room for others;
        PayloadTooLarge, MalformedBody, UnsupportedMediaType, or ClientDisconnect.
        """
        decompressor = find_decompressor(context_of(request.scope))
        size = 0
        async for chunk in self._receive(request, max_bytes, account):
            if decompressor is None:
                yield chunk
                continue
            for piece in decompressor.unpack(chunk):
                size += len(piece)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                if piece:
                    yield piece
                await asyncio.sleep(0)  # a short chunk may hold many pieces
        if decompressor is not None:
            decompressor.finish()

    async def _receive(
        self, request: Request, max_bytes: int, account: BodyAccount | None
    ) -> AsyncIterator[bytes]:
        """Yield the body in chunks as it was sent.

        It may be late by `body_idle_seconds` against MIN_BYTES_PER_SECOND at any time. A client
        that is early gains nothing by it: otherwise it could hold a large body for hours.
        """
        received = 0
        allowed_seconds = self._idle_seconds
        loop = asyncio.get_running_loop()
        more = True
        while more:
            began = loop.time()
            try:
                async with asyncio.timeout(allowed_seconds) as timeout:
                    if account is not None:
                        account.timeout = timeout
                    message = await request.receive()
            except TimeoutError:
                raise _too_slow(self._idle_seconds) from None
            finally:
                if account is not None:
                    account.timeout = None
            chunk = _content(message)
            received += len(chunk)
            if received > max_bytes:
                raise _too_large(max_bytes)
            left = allowed_seconds - (loop.time() - began) + len(chunk) / MIN_BYTES_PER_SECOND
            allowed_seconds = min(self._idle_seconds, left)
            if chunk:
                yield chunk
            more = message.get("more_body", False)


def _content(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    content: bytes = message.get("body", b"")
    return content


def _too_large(max_bytes: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body has more than {max_bytes} bytes; send it in parts")


def _too_slow(idle_seconds: float) -> RequestTimeout:
    return RequestTimeout(
        f"the body stalled: less than {MIN_BYTES_PER_SECOND} bytes per second within "
        f"{idle_seconds:g} s, or too slow for the memory that is left; send it again"
    )
