"""Who gets which engine and which lane."""

from __future__ import annotations

import asyncio
from typing import cast

from slipway_core.engines.client import Engine
from slipway_core.engines.seats import Seat, Seats


class Loaded:
    """Stands for an engine with its model loaded."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes


def seats_of(*lanes: int) -> Seats:
    seats = Seats()
    for count in lanes:
        seats.add(cast(Engine, Loaded(count)))
    return seats


async def take(seats: Seats, *, whole: bool = False) -> Seat:
    return await asyncio.wait_for(seats.take(whole=whole), 5)


def waiting(seats: Seats, *, whole: bool = False) -> asyncio.Future[Seat]:
    asked = seats.take(whole=whole)
    assert not asked.done()
    return asked


async def test_each_lane_is_taken_once() -> None:
    seats = seats_of(2)
    taken = [await take(seats), await take(seats)]
    assert {seat.lane for seat in taken} == {0, 1}
    late = waiting(seats)
    seats.give_back(taken[1])
    assert (await late).lane == taken[1].lane


async def test_a_whole_engine_waits_for_its_lanes_and_is_not_overtaken() -> None:
    seats = seats_of(2)
    lane = await take(seats)
    whole = waiting(seats, whole=True)
    later = waiting(seats)
    seats.give_back(lane)
    assert (await whole).lane is None
    assert not later.done()
    seats.give_back(await whole)
    await later


async def test_lanes_are_taken_where_most_others_are() -> None:
    seats = seats_of(2, 2)
    first, second = await take(seats), await take(seats)
    assert first.engine is second.engine
    assert (await take(seats, whole=True)).engine is not first.engine


async def test_an_engine_without_lanes_is_taken_whole() -> None:
    assert (await take(seats_of(1))).lane is None


async def test_a_free_seat_is_had_at_once() -> None:
    assert seats_of(2).take(whole=False).done()


async def test_who_gives_up_holds_nothing() -> None:
    seats = seats_of(1)
    seat = await take(seats)
    gone, next_one = waiting(seats), waiting(seats)
    gone.cancel()
    seats.give_back(seat)
    assert (await next_one).engine is seat.engine


async def test_nobody_gets_a_seat_at_the_end() -> None:
    seats = seats_of(1)
    await take(seats)
    late = waiting(seats)
    seats.close()
    assert late.cancelled()
    assert seats.take(whole=False).cancelled()


async def test_a_dead_engine_is_not_given_out() -> None:
    seats = seats_of(2)
    seat = await take(seats)
    seats.remove(seat.engine)
    seats.give_back(seat)
    late = waiting(seats)
    seats.add(cast(Engine, Loaded(2)))
    assert (await late).engine is not seat.engine
