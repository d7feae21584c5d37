"""Clients that go away, as the connection tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any, cast

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from slipway_inference.http.context import mark_disconnected, open_context
from slipway_inference.http.disconnect import while_connected
from slipway_inference.http.streams import BoundedStream
from slipway_inference.http.transport import MAX_HELD_BYTES, BatchingTransport


def scope_of_request() -> Scope:
    return {"type": "http", "headers": []}


class Work:
    """Goes on until it is stopped."""

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


async def test_work_ends_when_the_client_goes_away() -> None:
    scope, work = scope_of_request(), Work()
    open_context(scope, "")
    asked = asyncio.create_task(run_while_connected(scope, work))
    await work.began.wait()
    mark_disconnected(scope)
    with pytest.raises(ClientDisconnect):
        await asked
    assert work.stopped


@pytest.mark.parametrize("before_the_request_was_looked_at", [True, False])
async def test_work_for_a_client_that_has_gone_does_not_begin(
    before_the_request_was_looked_at: bool,
) -> None:
    scope, work = scope_of_request(), Work()
    if before_the_request_was_looked_at:
        mark_disconnected(scope)
    open_context(scope, "")
    if not before_the_request_was_looked_at:
        mark_disconnected(scope)
    with pytest.raises(ClientDisconnect):
        await run_while_connected(scope, work)
    assert not work.began.is_set()


async def test_a_cancelled_request_is_not_taken_for_a_client_that_went_away() -> None:
    scope, work = scope_of_request(), Work()
    open_context(scope, "")
    asked = asyncio.create_task(run_while_connected(scope, work))
    await work.began.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked


async def test_a_stream_whose_client_goes_away_ends_quietly_and_gives_its_room_back() -> None:
    scope, sent = scope_of_request(), asyncio.Event()
    left: list[bool] = []
    context = open_context(scope, "")

    async def chunks() -> AsyncIterator[bytes]:
        yield b"first"
        await asyncio.Event().wait()

    async def receive() -> Message:
        raise AssertionError("nothing is asked for")

    async def send(message: Message) -> None:
        if message.get("body") == b"first":
            sent.set()

    resources = ExitStack()
    resources.callback(left.append, True)
    stream = BoundedStream(chunks(), media_type="text/plain", idle_seconds=5, resources=resources)
    answering = asyncio.create_task(stream(scope, receive, send))
    await sent.wait()
    mark_disconnected(scope)
    await answering
    assert (left, context.code) == ([True], "ClientDisconnected")


class Wire:
    """A transport that keeps what is written, and refuses it when it is closed."""

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


def on(wire: Wire) -> BatchingTransport:
    return BatchingTransport(cast(Any, wire), stall_seconds=0.01)


async def test_the_head_of_an_answer_travels_with_its_body() -> None:
    wire = Wire()
    transport = on(wire)
    transport.write(b"head ")
    transport.write(b"body")
    await asyncio.sleep(0)
    assert wire.packets == [b"head body"]


async def test_much_is_sent_before_the_turn_ends() -> None:
    wire = Wire()
    transport = on(wire)
    transport.write(b"head ")
    transport.write(b"x" * MAX_HELD_BYTES)
    assert wire.packets == [b"head " + b"x" * MAX_HELD_BYTES]


async def test_what_is_not_followed_by_more_is_sent_at_once_or_before_the_end() -> None:
    wire = Wire()
    transport = on(wire)
    transport.write(b"event")
    await asyncio.sleep(0)
    assert wire.packets == [b"event"]
    transport.write(b"last")
    transport.close()
    assert wire.packets == [b"event", b"last"]
    assert wire.closed


async def test_answers_of_one_turn_go_out_one_right_after_the_other() -> None:
    wires = [Wire(), Wire()]
    for wire in wires:
        on(wire).write(b"answer")
        assert [one.packets for one in wires] == [[], []]
    await asyncio.sleep(0)
    assert [wire.packets for wire in wires] == [[b"answer"], [b"answer"]]


async def test_nothing_is_written_to_a_connection_that_was_lost() -> None:
    wire = Wire()
    on(wire).write(b"event")
    wire.closed = True
    await asyncio.sleep(0)
    assert wire.packets == []


async def test_who_reads_nothing_of_what_waits_for_him_is_cut_off() -> None:
    wire = Wire()
    transport = on(wire)
    transport.write(b"12345")
    wire.unread = 5
    transport.close()
    async with asyncio.timeout(10):
        await wire.aborted.wait()


async def test_who_reads_slowly_is_not_cut_off() -> None:
    wire = Wire()
    transport = on(wire)
    transport.write(b"x" * 1000)
    await asyncio.sleep(0)
    wire.unread = 1000
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
