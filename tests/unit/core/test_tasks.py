"""A task that swallows a cancellation is cancelled again."""

from __future__ import annotations

import asyncio

from slipway_core.tasks import cancel_and_wait


async def test_a_lost_cancellation_is_repeated() -> None:
    lost = 0

    async def swallow() -> None:
        nonlocal lost
        while lost < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                lost += 1
        await asyncio.Event().wait()

    task = asyncio.create_task(swallow())
    await asyncio.sleep(0)
    await cancel_and_wait(task, every_seconds=0.01)
    assert task.cancelled()
    assert lost == 2


async def test_tasks_that_ended_or_failed_raise_nothing() -> None:
    async def fail() -> None:
        raise RuntimeError("seen")

    failed = asyncio.create_task(fail())
    ended = asyncio.create_task(asyncio.sleep(0))
    await asyncio.wait({failed, ended})
    await cancel_and_wait(failed, ended)
    await cancel_and_wait()
