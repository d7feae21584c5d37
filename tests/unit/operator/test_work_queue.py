from __future__ import annotations

import asyncio
from typing import Any

import pytest

from slipway_operator.control.work_queue import WorkQueue
from slipway_operator.kubernetes.objects import Key

A, B = Key("models", "a"), Key("models", "b")


async def test_a_key_is_queued_at_most_once() -> None:
    queue = WorkQueue()
    for key in (A, B, A, A):
        queue.add(key)
    assert queue.depth == 2
    assert await queue.get() == A
    assert await queue.get() == B


async def test_a_key_added_while_active_is_queued_again_afterwards() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await queue.get() == A
    queue.add(A)
    assert queue.depth == 1
    queue.done(A)
    assert await asyncio.wait_for(queue.get(), 1) == A


async def test_a_failed_key_is_retried_with_exponential_backoff(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = WorkQueue()
    loop = asyncio.get_running_loop()
    pauses: list[float] = []
    call_later = loop.call_later

    def record(delay: float, *call: Any) -> asyncio.TimerHandle:
        pauses.append(delay)
        return call_later(delay, *call)

    monkeypatch.setattr(loop, "call_later", record)
    for _ in range(10):
        queue.add(A)
        await queue.get()
        queue.failed(A)
    queue.close()
    assert len(pauses) == 10
    assert pauses[0] < 1
    assert pauses == sorted(pauses)
    assert 59 < pauses[-1] < 61


async def test_the_earlier_of_two_delays_wins() -> None:
    queue = WorkQueue()
    queue.add(A, 600)
    queue.add(A, 0.01)
    queue.add(A, 300)
    assert await asyncio.wait_for(queue.get(), 5) == A


async def test_adding_a_key_now_cancels_its_delay() -> None:
    queue = WorkQueue()
    queue.add(A, 0.05)
    queue.add(A)
    await queue.get()
    queue.done(A)
    await asyncio.sleep(0.1)
    assert queue.depth == 0
