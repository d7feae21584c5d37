"""Assigns free engines and lanes to batches."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from slipway_core.engines.engine import Engine


class Seat(msgspec.Struct, frozen=True):
    """The right to run one batch on a lane of an engine, or on all of its cores (lane None)."""

    engine: Engine
    lane: int | None


class Seats:
    """Hands out seats, first come, first served. Lives on one event loop."""

    def __init__(self) -> None:
        self._free_lanes: dict[Engine, set[int]] = {}
        self._waiters: deque[tuple[bool, asyncio.Future[Seat]]] = deque()
        self._closed = False

    def add(self, engine: Engine) -> None:
        """Add an engine that has its model loaded."""
        self._free_lanes[engine] = set(range(engine.lanes))
        self._assign()

    def remove(self, engine: Engine) -> None:
        """Remove an engine that has died. Its seats need not be released."""
        self._free_lanes.pop(engine, None)

    def acquire(self, *, all_cores: bool) -> asyncio.Future[Seat]:
        """Acquire a lane, or with `all_cores` an engine whose lanes are all free.

        The future is done already when a seat is free, and cancelled when the pool closes.
        """
        seat: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
        if self._closed:
            seat.cancel()
            return seat
        self._waiters.append((all_cores, seat))
        self._assign()
        return seat

    def release(self, seat: Seat) -> None:
        """Return a seat after the engine has replied."""
        if seat.engine in self._free_lanes:
            lanes = self._free_lanes[seat.engine]
            lanes.update(range(seat.engine.lanes) if seat.lane is None else (seat.lane,))
            self._assign()

    def close(self) -> None:
        """Cancel all waiters, now and from now on."""
        self._closed = True
        for _, waiter in self._waiters:
            waiter.cancel()
        self._waiters.clear()

    def _assign(self) -> None:
        while self._waiters:
            all_cores, waiter = self._waiters[0]
            if not waiter.done():
                seat = self._allocate(all_cores=all_cores)
                if seat is None:
                    return
                waiter.set_result(seat)
            self._waiters.popleft()

    def _allocate(self, *, all_cores: bool) -> Seat | None:
        """Take a free seat, if there is one.

        A lane comes from the engine with the fewest free lanes, so that another engine stays
        entirely free.
        """
        if all_cores:
            for engine, lanes in self._free_lanes.items():
                if len(lanes) == engine.lanes:
                    lanes.clear()
                    return Seat(engine, None)
            return None
        fullest: Engine | None = None
        for engine, lanes in self._free_lanes.items():
            if lanes and (fullest is None or len(lanes) < len(self._free_lanes[fullest])):
                fullest = engine
        if fullest is None:
            return None
        lane = self._free_lanes[fullest].pop()
        return Seat(fullest, lane if fullest.lanes > 1 else None)
