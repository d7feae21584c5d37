"""Single inputs that cost as much as a batch do not hold up the others."""

from __future__ import annotations

import asyncio

import pytest
from tests.unit.core.test_batcher import Engines, compute_for, settle

from slipway_core.batching.batcher import Batcher
from slipway_core.batching.request_queue import LARGE_ENTRY_TOKENS
from slipway_core.errors import QueueFull
from slipway_core.inputs.items import Item, Outcome

LARGE = 2 * LARGE_ENTRY_TOKENS


def make_batcher(engines: Engines, max_queue_tokens: int = 65_536) -> Batcher:
    return Batcher(
        engines.run,
        engines=1,
        lanes=1,
        max_batch_tokens=4 * LARGE,
        max_queue_tokens=max_queue_tokens,
    )


def submit(
    batcher: Batcher, name: str, tokens: int, timeout_seconds: float = 60
) -> asyncio.Future[list[Outcome]]:
    return batcher.submit([Item("image", name)], [tokens], timeout_seconds=timeout_seconds)


async def finish_all(engines: Engines) -> None:
    """Complete one batch after another until none is left."""
    done = 0
    while done < len(engines.batches):
        await engines.finish(done)
        done += 1


async def test_large_inputs_wait_apart_and_go_alone() -> None:
    engines = Engines()
    batcher = make_batcher(engines)
    futures = [submit(batcher, f"L{number}", LARGE) for number in range(4)]
    futures += [submit(batcher, "s0", 10), submit(batcher, "s1", 10)]
    await finish_all(engines)
    # L0 was alone in the queue. The small ones then go before all others.
    assert engines.batches == [["L0"], ["s0", "s1"], ["L1", "L2", "L3"]]
    assert all(future.done() for future in futures)


async def test_large_inputs_take_turns_token_for_token() -> None:
    engines = Engines()
    batcher = make_batcher(engines)
    submit(batcher, "first", 10)
    small = LARGE_ENTRY_TOKENS
    for number in range(3):
        submit(batcher, f"L{number}", LARGE)
    for number in range(24):
        submit(batcher, f"s{number}", small)
    await finish_all(engines)
    kinds = [batch[0][0] for batch in engines.batches[1:]]
    assert kinds == ["s", "L", "s", "L", "s", "L"]  # eight small ones fill a batch


async def test_large_inputs_leave_room_in_the_queue_for_others() -> None:
    engines = Engines()
    batcher = make_batcher(engines, max_queue_tokens=8 * LARGE)
    submit(batcher, "running", LARGE)
    for number in range(4):
        submit(batcher, f"L{number}", LARGE)
    with pytest.raises(QueueFull):
        submit(batcher, "L5", LARGE)
    small = [submit(batcher, f"s{number}", 100) for number in range(40)]
    await finish_all(engines)
    assert all(future.done() for future in small)


async def test_an_empty_queue_takes_a_large_input_of_any_size_that_it_holds() -> None:
    engines = Engines()
    batcher = make_batcher(engines, max_queue_tokens=4 * LARGE)
    submit(batcher, "running", 10)
    future = submit(batcher, "huge", 4 * LARGE)
    await finish_all(engines)
    assert future.done()


async def test_large_inputs_of_gone_clients_are_dropped_and_release_their_tokens() -> None:
    engines = Engines()
    batcher = make_batcher(engines)
    submit(batcher, "running", 10)
    futures = [submit(batcher, f"L{number}", LARGE) for number in range(20)]
    for future in futures[:-1]:
        future.cancel()
    await settle()
    assert batcher.queued_tokens == LARGE
    await finish_all(engines)
    assert engines.batches == [["running"], ["L19"]]


async def test_small_inputs_are_not_rejected_for_a_backlog_of_large_ones() -> None:
    engines = Engines()
    batcher = make_batcher(engines)
    submit(batcher, "slow", LARGE)
    await compute_for(0.2)  # the measured speed of large inputs: five a second at most
    await engines.finish(0)
    submit(batcher, "running", LARGE)
    for number in range(20):
        submit(batcher, f"L{number}", LARGE, timeout_seconds=600)
    with pytest.raises(QueueFull):
        submit(batcher, "late", LARGE, timeout_seconds=3)
    future = submit(batcher, "s", 10, timeout_seconds=3)
    await finish_all(engines)
    assert future.done()


async def test_the_speed_of_small_inputs_says_nothing_about_large_ones() -> None:
    engines = Engines()
    batcher = make_batcher(engines)
    submit(batcher, "slow", 1)
    await compute_for(0.2)  # five tokens a second
    await engines.finish(0)
    large = submit(batcher, "L", LARGE, timeout_seconds=30)
    small = submit(batcher, "s", 1, timeout_seconds=30)
    await finish_all(engines)
    assert large.done()
    assert small.done()
