"""Suspected chunks are computed alone."""

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


async def test_many_may_share() -> None:
    gate = Gate()
    visits = [Visit(gate, alone=False) for _ in range(3)]
    await settle()
    assert all(visit.inside for visit in visits)
    for visit in visits:
        visit.leave.set()
        await visit.task


async def test_one_alone_waits_for_the_others_and_keeps_later_ones_out() -> None:
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


async def test_whoever_gives_up_waiting_lets_the_others_in() -> None:
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


async def test_a_cancelled_visitor_leaves() -> None:
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
