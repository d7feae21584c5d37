"""Disconnects of clients, and the batching of writes to a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from slipway_inference.http.body_memory import BodyMemory
from slipway_inference.http.context import mark_disconnected, open_context
from slipway_inference.http.disconnect import while_connected
from slipway_inference.http.streams import BoundedStream
from slipway_inference.http.transport import MAX_HELD_BYTES, BatchingTransport


def scope_of_request() -> Scope:
    return {"type": "http", "method": "GET", "headers": []}


class Work:
    """Work that runs until it is cancelled."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.stopped = False

    async def run(self) -> None:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True


async def run_while_connected(scope: Scope, work: Work) -> None:
    with while_connected(scope):
        await work.run()


async def test_work_stops_when_the_client_disconnects() -> None:
    scope, work = scope_of_request(), Work()
    open_context(scope, "", BodyMemory(0))
    request = asyncio.create_task(run_while_connected(scope, work))
    await work.began.wait()
    mark_disconnected(scope)
    with pytest.raises(ClientDisconnect):
        await request
    assert work.stopped


@pytest.mark.parametrize("before_the_context_is_opened", [True, False])
async def test_work_for_a_disconnected_client_does_not_begin(
    before_the_context_is_opened: bool,
) -> None:
    scope, work = scope_of_request(), Work()
    if before_the_context_is_opened:
        mark_disconnected(scope)
    open_context(scope, "", BodyMemory(0))
    if not before_the_context_is_opened:
        mark_disconnected(scope)
    with pytest.raises(ClientDisconnect):
        await run_while_connected(scope, work)
    assert not work.began.is_set()


async def test_a_cancelled_request_is_not_reported_as_a_disconnect() -> None:
    scope, work = scope_of_request(), Work()
    open_context(scope, "", BodyMemory(0))
    request = asyncio.create_task(run_while_connected(scope, work))
    await work.began.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_a_stream_to_a_disconnected_client_ends_and_releases_its_resources() -> None:
    scope, sent = scope_of_request(), asyncio.Event()
    released: list[bool] = []
    context = open_context(scope, "", BodyMemory(0))

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    async def receive() -> Message:
        raise AssertionError("a stream must not receive")

    async def send(message: Message) -> None:
        if message.get("body") == b"first":
            sent.set()

    resources = ExitStack()
    resources.callback(released.append, True)
    stream = BoundedStream(chunks(), media_type="text/plain", idle_seconds=5, resources=resources)
    streaming = asyncio.create_task(stream(scope, receive, send))
    await sent.wait()
    mark_disconnected(scope)
    await streaming
    assert (released, context.code) == ([True], "ClientDisconnected")


class Wire:
    """A stand-in for a transport, which records writes and fails when it is closed."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.unread = 0
        self.closed = False
        self.aborted = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.packets.append(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.aborted.set()

    def get_write_buffer_size(self) -> int:
        return self.unread


def transport_of(wire: Wire) -> BatchingTransport:
    return BatchingTransport(cast(Any, wire), stall_seconds=0.01)


async def test_head_and_body_of_a_response_are_sent_together() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"head ")
    transport.write(b"body")
    await asyncio.sleep(0)
    assert wire.packets == [b"head body"]


async def test_large_data_is_sent_at_once() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"head ")
    transport.write(b"x" * MAX_HELD_BYTES)
    assert wire.packets == [b"head " + b"x" * MAX_HELD_BYTES]


async def test_held_data_is_sent_in_the_next_turn_or_before_closing() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"event")
    await asyncio.sleep(0)
    assert wire.packets == [b"event"]
    transport.write(b"last")
    transport.close()
    assert wire.packets == [b"event", b"last"]
    assert wire.closed


async def test_responses_of_one_turn_are_sent_together() -> None:
    wires = [Wire(), Wire()]
    for wire in wires:
        transport_of(wire).write(b"response")
        assert [each.packets for each in wires] == [[], []]
    await asyncio.sleep(0)
    assert [wire.packets for wire in wires] == [[b"response"], [b"response"]]


async def test_nothing_is_written_to_a_lost_connection() -> None:
    wire = Wire()
    transport_of(wire).write(b"event")
    wire.closed = True
    await asyncio.sleep(0)
    assert wire.packets == []


async def test_a_client_that_does_not_read_is_disconnected() -> None:
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"12345")
    wire.unread = 5
    transport.close()
    async with asyncio.timeout(10):
        await wire.aborted.wait()


async def send_to_slow_reader() -> tuple[Wire, BatchingTransport]:
    """Return a transport after a response of 1,000 bytes, all of them unread."""
    wire = Wire()
    transport = transport_of(wire)
    transport.write(b"x" * 1000)
    await asyncio.sleep(0)
    wire.unread = 1000
    return wire, transport


async def test_a_client_that_reads_a_byte_now_and_then_is_disconnected() -> None:
    wire, transport = await send_to_slow_reader()

    def read_a_byte() -> int:
        wire.unread -= 1
        return wire.unread

    wire.get_write_buffer_size = read_a_byte  # type: ignore[method-assign]
    transport.watch_reader()
    async with asyncio.timeout(10):
        await wire.aborted.wait()
    assert wire.unread > 900


async def test_a_client_that_reads_slowly_is_not_disconnected() -> None:
    wire, transport = await send_to_slow_reader()
    all_read = asyncio.Event()

    def read_some() -> int:
        wire.unread = max(0, wire.unread - 100)
        if not wire.unread:
            all_read.set()
        return wire.unread

    wire.get_write_buffer_size = read_some  # type: ignore[method-assign]
    transport.watch_reader()
    async with asyncio.timeout(10):
        await all_read.wait()
    assert not wire.aborted.is_set()
