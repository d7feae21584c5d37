"""A lane waits for the clients it has served if most of them send their next request at once."""

from __future__ import annotations

import asyncio

from slipway_core.batching.linger import Linger

SECONDS = 0.001


async def wait_until_over(linger: Linger) -> None:
    """Wait until the linger has ended and its share of returning clients is learnt."""
    learnt = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * SECONDS, learnt.set)
    await learnt.wait()
    assert not linger.lanes


async def test_it_ends_without_a_call_when_all_clients_have_returned() -> None:
    ended: list[bool] = []
    linger = Linger(lambda: ended.append(True))
    linger.start(2, 60)
    linger.add_arrivals(1)
    assert linger.lanes
    linger.start(1, 60)  # another lane has completed a request
    assert linger.lanes == 2
    linger.add_arrivals(1)
    assert linger.lanes == 2
    linger.add_arrivals(1)
    assert not linger.lanes
    assert not ended


async def test_it_ends_with_a_call_when_its_time_is_over() -> None:
    ended = asyncio.Event()
    Linger(ended.set).start(1, SECONDS)
    await asyncio.wait_for(ended.wait(), 5)


async def test_lanes_wait_only_while_clients_usually_return() -> None:
    linger = Linger(lambda: None)
    for _ in range(20):
        linger.start(4, SECONDS)
        await wait_until_over(linger)
    linger.start(4, SECONDS)
    assert not linger.lanes
    for _ in range(20):
        linger.start(1, SECONDS)
        linger.add_arrivals(1)
        await wait_until_over(linger)
    linger.start(1, SECONDS)
    assert linger.lanes
    linger.end()
