"""A connection keeps its promise of all or nothing, also after somebody gave up on it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from tests.fixtures.batch import Batch

pytestmark = pytest.mark.component


async def fail_after_writing(batch: Batch, number: int) -> None:
    async with batch.database.transaction() as connection:
        await connection.execute("INSERT INTO written VALUES (%s)", [number])
        raise ZeroDivisionError


async def test_transactions_stay_whole_when_others_are_cancelled(batch: Batch) -> None:
    """Cancelled at any point, a connection must not come back committing each statement."""

    async def give_up_after(turns: int) -> None:
        task = asyncio.create_task(batch.chunks.backlog())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with batch.database.transaction() as connection:
        await connection.execute("CREATE TABLE written (number integer)")
    for turns in range(60):
        await give_up_after(turns)
        with suppress(ZeroDivisionError):
            await fail_after_writing(batch, turns)
    async with batch.database.transaction() as connection:
        cursor = await connection.execute("SELECT array_agg(number) FROM written")
        assert await cursor.fetchone() == (None,)
