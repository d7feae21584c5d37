"""When a lane waits for the clients that it answered: while these come back at once."""

from __future__ import annotations

import asyncio

from slipway_core.batching.linger import Gathering

SECONDS = 0.001


async def over(gathering: Gathering) -> None:
    """Until the wait, and what is learnt from it, is over."""
    learnt = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * SECONDS, learnt.set)
    await learnt.wait()
    assert not gathering.lanes


async def test_it_ends_without_a_call_when_all_are_back() -> None:
    ended: list[bool] = []
    gathering = Gathering(lambda: ended.append(True))
    gathering.begin(2, 60)
    gathering.arrived(1)
    assert gathering.lanes
    gathering.begin(1, 60)  # another lane has answered a client
    assert gathering.lanes == 2
    gathering.arrived(1)
    assert gathering.lanes == 2
    gathering.arrived(1)
    assert not gathering.lanes
    assert not ended


async def test_it_ends_with_a_call_after_its_time() -> None:
    ended = asyncio.Event()
    Gathering(ended.set).begin(1, SECONDS)
    await asyncio.wait_for(ended.wait(), 5)


async def test_nobody_waits_for_clients_that_come_by_chance_and_again_when_they_return() -> None:
    gathering = Gathering(lambda: None)
    for _ in range(20):
        gathering.begin(4, SECONDS)
        await over(gathering)
    gathering.begin(4, SECONDS)
    assert not gathering.lanes
    for _ in range(20):
        gathering.begin(1, SECONDS)
        gathering.arrived(1)
        await over(gathering)
    gathering.begin(1, SECONDS)
    assert gathering.lanes
    gathering.end()
