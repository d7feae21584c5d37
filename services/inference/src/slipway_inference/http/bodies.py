"""Reads request bodies within bounds of size, time and of what all of them hold in memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Self

from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from slipway_core.errors import (
    MalformedBody,
    PayloadTooLarge,
    QueueFull,
    RequestTimeout,
    UnsupportedMediaType,
)
from slipway_inference.http.context import RequestContext, context_of
from slipway_inference.settings import InferenceSettings

JSON = "application/json"
NDJSON = "application/x-ndjson"
MULTIPART = "multipart/form-data"
BINARY = "application/octet-stream"
_SLOWEST_BYTES_PER_SECOND = 1024
_WINDOW_BITS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class BodyMemory:
    """How many bytes the bodies that are still arriving may take together: memory stays flat in a
    flood.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = 0

    def account(self) -> BodyAccount:
        """What one body takes; use it as a context that gives all back at its end."""
        return BodyAccount(self)

    def take(self, count: int) -> None:
        """Raises QueueFull when there is no room."""
        if self._held + count > self._limit:
            raise QueueFull(
                "too many large bodies are being read; send the request again",
                retry_after_seconds=1,
            )
        self._held += count

    def give_back(self, count: int) -> None:
        self._held -= count


class BodyAccount:
    """The bytes of one body within the memory for all."""

    __slots__ = ("_held", "_memory")

    def __init__(self, memory: BodyMemory) -> None:
        self._memory = memory
        self._held = 0

    def take(self, count: int) -> None:
        """Raises QueueFull when there is no room."""
        self._memory.take(count)
        self._held += count

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.give_back(self._held)


def media_type(context: RequestContext, *accepted: str) -> str:
    """The body's media type when it is one of `accepted`; raises UnsupportedMediaType.

    A missing Content-Type is taken for the first one.
    """
    given = context.header(b"content-type") or ""
    found = given.partition(";")[0].strip().lower() or accepted[0]
    if found not in accepted:
        shown = found[:64].encode("ascii", "replace").decode()
        raise UnsupportedMediaType(
            f"send the body as {' or '.join(accepted)}, not '{shown}'"
            f" (curl: -H 'Content-Type: {accepted[0]}')"
        )
    return found


def check_declared_length(context: RequestContext, limit: int) -> None:
    """Raises PayloadTooLarge, or MalformedBody, by the Content-Length: before a byte is read."""
    header = context.header(b"content-length")
    if header is None:
        return
    if not (header.isascii() and header.isdigit()):
        raise MalformedBody("Content-Length must be a number of bytes")
    length = int(header) if len(header) < 20 else limit + 1
    if length > limit:
        raise PayloadTooLarge(f"the body has {header[:20]} bytes; at most {limit} are read")


def check_whole(context: RequestContext, body: bytes, limit: int) -> None:
    """Raises PayloadTooLarge, or MalformedBody, for a body that is all there."""
    check_declared_length(context, limit)
    if len(body) > limit:
        raise _too_large(limit)


async def read_body(request: Request, settings: InferenceSettings, memory: BodyMemory) -> bytes:
    """The whole body. Raises PayloadTooLarge, RequestTimeout, QueueFull, or ClientDisconnect."""
    limit = settings.max_body_bytes
    check_declared_length(context_of(request.scope), limit)
    chunks = []
    with memory.account() as account:
        async for chunk in stream_body(request, settings, limit):
            account.take(len(chunk))
            chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def unpacked(context: RequestContext, body: bytes, limit: int) -> bytes:
    """The body without its Content-Encoding, which may be gzip or deflate.

    Raises UnsupportedMediaType, MalformedBody, or PayloadTooLarge when it unpacks to more than
    `limit` bytes.
    """
    encoding = (context.header(b"content-encoding") or "identity").strip().lower()
    if encoding == "identity":
        return body
    if encoding not in _WINDOW_BITS:
        raise UnsupportedMediaType(
            "send the body plain, or in the Content-Encoding gzip or deflate"
        )
    unpacker = zlib.decompressobj(_WINDOW_BITS[encoding])
    try:
        content = unpacker.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedBody(f"the body is not valid {encoding}") from None
    if len(content) > limit:
        raise _too_large(limit)
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedBody(f"the body is not one whole stream of {encoding}")
    return content


async def stream_body(
    request: Request, settings: InferenceSettings, limit: int
) -> AsyncIterator[bytes]:
    """The body in chunks, as it arrives and never faster than it is taken.

    Raises RequestTimeout when it stalls (no byte for `body_idle_seconds`, or fewer than about
    1 KiB/s over a longer time), PayloadTooLarge, or ClientDisconnect.
    """
    idle = settings.body_idle_seconds
    received = 0
    waited = 0.0
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        message = await _receive(request, idle)
        waited += loop.time() - began
        chunk = _content(message)
        received += len(chunk)
        if received > limit:
            raise _too_large(limit)
        if waited > idle + received / _SLOWEST_BYTES_PER_SECOND:
            raise _too_slow(idle)
        if chunk:
            yield chunk
        if not message.get("more_body", False):
            return


async def _receive(request: Request, idle: float) -> Message:
    try:
        async with asyncio.timeout(idle):
            return await request.receive()
    except TimeoutError:
        raise _too_slow(idle) from None


def _content(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    content: bytes = message.get("body", b"")
    return content


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"the body has more than {limit} bytes; send it in parts")


def _too_slow(idle: float) -> RequestTimeout:
    return RequestTimeout(f"the body stalled: no progress within {idle:g} s; send it again")
