"""Which batch gets which engine and lane."""

from __future__ import annotations

import asyncio
from typing import cast

from slipway_core.engines.engine import Engine
from slipway_core.engines.seats import Seat, Seats


class Loaded:
    """A stand-in for an engine with its model loaded."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes


def seats_of(*lanes: int) -> Seats:
    seats = Seats()
    for count in lanes:
        seats.add(cast(Engine, Loaded(count)))
    return seats


async def acquire(seats: Seats, *, all_cores: bool = False) -> Seat:
    return await asyncio.wait_for(seats.acquire(all_cores=all_cores), 5)


def waiting(seats: Seats, *, all_cores: bool = False) -> asyncio.Future[Seat]:
    seat = seats.acquire(all_cores=all_cores)
    assert not seat.done()
    return seat


async def test_each_lane_is_taken_once() -> None:
    seats = seats_of(2)
    taken = [await acquire(seats), await acquire(seats)]
    assert {seat.lane for seat in taken} == {0, 1}
    late = waiting(seats)
    seats.release(taken[1])
    assert (await late).lane == taken[1].lane


async def test_a_request_for_all_cores_waits_for_all_lanes_and_is_not_overtaken() -> None:
    seats = seats_of(2)
    lane = await acquire(seats)
    all_cores = waiting(seats, all_cores=True)
    later = waiting(seats)
    seats.release(lane)
    assert (await all_cores).lane is None
    assert not later.done()
    seats.release(await all_cores)
    await later


async def test_lanes_of_the_engine_with_fewest_free_lanes_are_taken_first() -> None:
    seats = seats_of(2, 2)
    first, second = await acquire(seats), await acquire(seats)
    assert first.engine is second.engine
    assert (await acquire(seats, all_cores=True)).engine is not first.engine


async def test_an_engine_with_one_lane_is_always_taken_with_all_cores() -> None:
    assert (await acquire(seats_of(1))).lane is None


async def test_a_free_seat_is_acquired_at_once() -> None:
    assert seats_of(2).acquire(all_cores=False).done()


async def test_a_cancelled_caller_gets_no_seat() -> None:
    seats = seats_of(1)
    seat = await acquire(seats)
    cancelled, next_caller = waiting(seats), waiting(seats)
    cancelled.cancel()
    seats.release(seat)
    assert (await next_caller).engine is seat.engine


async def test_closing_cancels_waiting_and_later_callers() -> None:
    seats = seats_of(1)
    await acquire(seats)
    late = waiting(seats)
    seats.close()
    assert late.cancelled()
    assert seats.acquire(all_cores=False).cancelled()


async def test_seats_of_a_removed_engine_are_not_handed_out() -> None:
    seats = seats_of(2)
    seat = await acquire(seats)
    seats.remove(seat.engine)
    seats.release(seat)
    late = waiting(seats)
    seats.add(cast(Engine, Loaded(2)))
    assert (await late).engine is not seat.engine
