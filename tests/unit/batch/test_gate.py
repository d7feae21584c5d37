"""The gate gives chunks that may crash an engine exclusive access."""

from __future__ import annotations

import asyncio

from slipway_batch.gate import Gate


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Visit:
    """A task that stays inside the gate until `leave` is set."""

    def __init__(self, gate: Gate, *, alone: bool) -> None:
        self.inside = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._stay(gate, alone))

    async def _stay(self, gate: Gate, alone: bool) -> None:
        async with gate.enter(alone=alone):
            self.inside = True
            await self.leave.wait()
            self.inside = False


async def test_several_tasks_share_the_gate() -> None:
    gate = Gate()
    visits = [Visit(gate, alone=False) for _ in range(3)]
    await settle()
    assert all(visit.inside for visit in visits)
    for visit in visits:
        visit.leave.set()
        await visit.task


async def test_an_exclusive_task_waits_for_earlier_tasks_and_blocks_later_ones() -> None:
    gate = Gate()
    first = Visit(gate, alone=False)
    await settle()
    alone = Visit(gate, alone=True)
    await settle()
    later = Visit(gate, alone=False)
    await settle()
    assert (first.inside, alone.inside, later.inside) == (True, False, False)
    first.leave.set()
    await settle()
    assert (alone.inside, later.inside) == (True, False)
    alone.leave.set()
    await settle()
    assert later.inside
    later.leave.set()
    await later.task


async def test_a_cancelled_wait_for_exclusive_access_unblocks_later_tasks() -> None:
    gate = Gate()
    first = Visit(gate, alone=False)
    await settle()
    alone = Visit(gate, alone=True)
    await settle()
    later = Visit(gate, alone=False)
    await settle()
    alone.task.cancel()
    await settle()
    assert later.inside
    for visit in (first, later):
        visit.leave.set()
        await visit.task


async def test_a_cancelled_task_releases_the_gate() -> None:
    gate = Gate()
    first = Visit(gate, alone=True)
    await settle()
    later = Visit(gate, alone=True)
    await settle()
    first.task.cancel()
    await settle()
    assert later.inside
    later.leave.set()
    await later.task
