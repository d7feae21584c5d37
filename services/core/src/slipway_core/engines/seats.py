"""Which engines, and which of their lanes, are free to compute a batch; and who waits for one."""

from __future__ import annotations

import asyncio
from collections import deque

import msgspec

from slipway_core.engines.client import Engine


class Seat(msgspec.Struct, frozen=True):
    """The right to give an engine one batch, on one lane or, when that is None, on all of it."""

    engine: Engine
    lane: int | None


class Seats:
    """Hands out seats, first come, first served. Lives on one event loop."""

    def __init__(self) -> None:
        self._free: dict[Engine, set[int]] = {}
        self._waiting: deque[tuple[bool, asyncio.Future[Seat]]] = deque()
        self._closed = False

    def add(self, engine: Engine) -> None:
        """An engine that has its model loaded."""
        self._free[engine] = set(range(engine.lanes))
        self._serve()

    def remove(self, engine: Engine) -> None:
        """An engine that has died; its seats need not be given back."""
        self._free.pop(engine, None)

    def take(self, *, whole: bool) -> asyncio.Future[Seat]:
        """A lane of an engine, or with `whole` an engine of which no lane is taken.

        The future is done already when there is one, and cancelled when there will be none.
        """
        asked: asyncio.Future[Seat] = asyncio.get_running_loop().create_future()
        if self._closed:
            asked.cancel()
            return asked
        self._waiting.append((whole, asked))
        self._serve()
        return asked

    def close(self) -> None:
        """Nobody gets a seat any more."""
        self._closed = True
        for _, asked in self._waiting:
            asked.cancel()
        self._waiting.clear()

    def give_back(self, seat: Seat) -> None:
        """The engine has answered."""
        if seat.engine in self._free:
            lanes = self._free[seat.engine]
            lanes.update(range(seat.engine.lanes) if seat.lane is None else (seat.lane,))
            self._serve()

    def _serve(self) -> None:
        while self._waiting:
            whole, asked = self._waiting[0]
            if not asked.done():
                seat = self._find(whole=whole)
                if seat is None:
                    return
                asked.set_result(seat)
            self._waiting.popleft()

    def _find(self, *, whole: bool) -> Seat | None:
        """A free seat, no longer free; a lane is taken where most others are, so that a whole
        engine is left.
        """
        if whole:
            for engine, lanes in self._free.items():
                if len(lanes) == engine.lanes:
                    lanes.clear()
                    return Seat(engine, None)
            return None
        fullest: Engine | None = None
        for engine, lanes in self._free.items():
            if lanes and (fullest is None or len(lanes) < len(self._free[fullest])):
                fullest = engine
        if fullest is None:
            return None
        lane = self._free[fullest].pop()
        return Seat(fullest, lane if fullest.lanes > 1 else None)
