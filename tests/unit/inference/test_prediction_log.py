"""The background writer of the prediction log, with a store that fails on request."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

from slipway_core.errors import InsufficientStorage, StoreUnavailable
from slipway_core.store.identifiers import uuid7
from slipway_core.store.records import PredictionRecord
from slipway_inference.serving.prediction_log import PredictionLog


def _row(text: str) -> PredictionRecord:
    return PredictionRecord(
        id=uuid7(),
        created_at=datetime.now(UTC),
        request_id="r",
        model="m",
        version="1",
        model_digest="",
        modality="text",
        status="ok",
        input=text,
        prediction=None,
        embedding=b"",
        latency_ms=1.0,
        tokens=1,
    )


class Store:
    """A store that rejects `poison`, and everything while it is `down`."""

    def __init__(self) -> None:
        self.rows: list[object] = []
        self.down = False
        self.called = asyncio.Event()
        self.stored: asyncio.Queue[object] = asyncio.Queue()

    async def insert(self, records: list[PredictionRecord]) -> None:
        self.called.set()
        if self.down:
            raise StoreUnavailable("down")
        if any(record.input == "poison" for record in records):
            raise ValueError("this row is rejected")
        self.rows += [record.input for record in records]
        for record in records:
            self.stored.put_nowait(record.input)


async def test_only_a_rejected_row_is_dropped() -> None:
    store = Store()
    log = PredictionLog(max_rows=100)
    log.start(store.insert)
    for text in ("a", "b", "poison", "c", "d"):
        log.offer(_row(text), 10)
    await log.close()
    assert store.rows == ["a", "b", "c", "d"]
    assert (log.written, log.dropped, log.waiting) == (4, 1, 0)


async def test_rows_beyond_the_limits_are_dropped_and_counted() -> None:
    store = Store()
    log = PredictionLog(max_rows=2, max_bytes=100)
    for size in (50, 60, 40, 1):
        log.offer(_row(str(size)), size)
    assert (log.waiting, log.dropped) == (2, 2)
    log.start(store.insert)
    await log.close()
    assert store.rows == ["50", "40"]


async def test_rows_wait_while_the_store_is_down() -> None:
    store = Store()
    store.down = True
    log = PredictionLog(max_rows=100)
    log.start(store.insert)
    log.offer(_row("a"), 10)
    await store.called.wait()
    assert log.problem == "down"
    store.down = False
    log.offer(_row("b"), 10)
    async with asyncio.timeout(10):
        assert [await store.stored.get() for _ in range(2)] == ["a", "b"]
    await log.close()
    assert log.problem == ""


async def test_closing_does_not_wait_for_a_store_that_stays_down() -> None:
    store = Store()
    store.down = True
    log = PredictionLog(max_rows=100)
    log.start(store.insert)
    log.offer(_row("a"), 10)
    await log.close(flush_seconds=0.2)
    assert log.dropped == 1


async def test_closing_does_not_hang_when_a_cancellation_is_lost() -> None:
    writing = asyncio.Event()

    async def insert(_: list[PredictionRecord]) -> None:
        with contextlib.suppress(asyncio.CancelledError):  # as database drivers sometimes do
            writing.set()
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    log = PredictionLog(max_rows=100)
    log.start(insert)
    log.offer(_row("a"), 10)
    await writing.wait()
    async with asyncio.timeout(30):
        await log.close(flush_seconds=0.1)
    assert (log.written, log.dropped, log.waiting) == (0, 1, 0)


async def test_rows_are_dropped_while_the_database_is_almost_full() -> None:
    async def insert(_: list[PredictionRecord]) -> None:
        raise InsufficientStorage("full")

    log = PredictionLog(max_rows=100)
    log.start(insert)
    for _ in range(3):
        log.offer(_row("a"), 10)
    await log.close()
    assert (log.written, log.dropped) == (0, 3)
