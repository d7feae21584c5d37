"""Submission of batch jobs: atomic, once per idempotency key, in constant memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from tests.fixtures.batch import Batch, as_items

from slipway_core.errors import (
    IdempotencyConflict,
    InsufficientStorage,
    InvalidInput,
    PayloadTooLarge,
    RequestTimeout,
    TaskNotFound,
)
from slipway_core.store.capacity import Capacity, read_usage
from slipway_core.store.identifiers import uuid7
from slipway_core.store.jobs import JobRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Job, NewItem

pytestmark = pytest.mark.component


async def count(batch: Batch, table: str) -> int:
    url = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


async def test_a_job_is_stored_with_its_items_and_split_into_chunks(batch: Batch) -> None:
    texts = [f"text {number}" for number in range(120)]
    job, rings = await batch.jobs.submit(batch.new_job(), as_items(texts))
    assert (job.state, job.total, job.succeeded, job.failed) == ("queued", 120, 0, 0)
    assert len(rings) == len(set(rings)) == 3
    assert await batch.jobs.get(job.id) == job
    assert await count(batch, "batch_items") == 120


async def test_chunks_are_limited_by_tokens_too(batch: Batch) -> None:
    async def items() -> AsyncIterator[NewItem]:
        for tokens in (9_000, 9_000, 5_000, 20_000, 1):
            yield NewItem('"text"', tokens)

    _, rings = await batch.jobs.submit(batch.new_job(), items())
    assert len(rings) == 4


async def test_the_error_of_an_empty_job_names_the_field(batch: Batch) -> None:
    with pytest.raises(InvalidInput) as caught:
        await batch.submit([])
    assert caught.value.errors[0].field == "inputs"


async def test_nothing_is_stored_of_a_job_with_too_many_inputs(batch: Batch) -> None:
    settings = batch.settings.model_copy(update={"batch_max_items": 10})
    with pytest.raises(PayloadTooLarge, match="at most 10 inputs"):
        await JobRepository(batch.database, settings).submit(
            batch.new_job(), as_items(["text"] * 11)
        )
    assert await count(batch, "batch_items") == await count(batch, "batch_jobs") == 0


async def test_nothing_is_stored_of_a_stream_that_fails(batch: Batch) -> None:
    async def items() -> AsyncIterator[NewItem]:
        for _ in range(5_000):
            yield NewItem('"text"', 1)
        raise ConnectionResetError("the client disconnected")

    with pytest.raises(ConnectionResetError):
        await batch.jobs.submit(batch.new_job(), items())
    for table in ("batch_items", "batch_jobs", "batch_chunks"):
        assert await count(batch, table) == 0
    await batch.database.ping()


async def test_the_error_of_a_text_that_cannot_be_stored_names_the_input(batch: Batch) -> None:
    with pytest.raises(InvalidInput) as caught:
        await batch.submit(["good", "a \0 b"])
    assert caught.value.errors[0].field == "inputs.1"
    await batch.submit(["a backslash before u0000 is no NUL: \\u0000"])


async def test_a_repeated_key_returns_the_first_job(batch: Batch) -> None:
    first, rings = await batch.jobs.submit(batch.new_job(idempotency_key="k"), as_items(["a", "b"]))
    again, no_rings = await batch.jobs.submit(
        batch.new_job(idempotency_key="k"), as_items(["a", "b"])
    )
    assert rings
    assert not no_rings
    assert again.id == first.id
    assert await count(batch, "batch_jobs") == 1


@pytest.mark.parametrize("texts", [["a", "c"], ["a"], ["a", "b", "c"], ["ab"]])
async def test_a_key_used_with_other_inputs_is_a_conflict(batch: Batch, texts: list[str]) -> None:
    await batch.submit(["a", "b"], idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await batch.submit(texts, idempotency_key="k")


async def test_a_key_used_with_other_options_is_a_conflict(batch: Batch) -> None:
    await batch.submit(["a"], idempotency_key="k")
    with pytest.raises(IdempotencyConflict):
        await batch.submit(["a"], idempotency_key="k", labels=("x", "y"))


async def test_a_key_belongs_to_its_queue(batch: Batch) -> None:
    first = await batch.submit(["a"], idempotency_key="k")
    other = batch.new_job(idempotency_key="k", queue="slipway:test:other")
    job, _ = await batch.jobs.submit(other, as_items(["b"]))
    assert job.id != first


async def test_concurrent_submissions_with_one_key_make_one_job(batch: Batch) -> None:
    def submit() -> asyncio.Task[tuple[Job, list[str]]]:
        job = batch.new_job(idempotency_key="k")
        return asyncio.create_task(batch.jobs.submit(job, as_items(["text"] * 500)))

    outcomes = await asyncio.gather(*(submit() for _ in range(4)))
    assert len({job.id for job, _ in outcomes}) == 1
    assert sum(bool(rings) for _, rings in outcomes) == 1
    assert await count(batch, "batch_items") == 500


async def test_a_hundred_thousand_inputs_need_constant_memory(batch: Batch) -> None:
    async def items(number: int) -> AsyncIterator[NewItem]:
        for index in range(number):
            yield NewItem(f'"text {index} of a long stream that is not kept in memory"', 12)

    await batch.jobs.submit(batch.new_job(), items(100))
    tracemalloc.start()
    try:
        job, _ = await batch.jobs.submit(batch.new_job(), items(100_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert job.total == 100_000
    assert peak < 8 * 1024 * 1024


async def test_slow_streams_take_no_database_connections(batch: Batch) -> None:
    settings = batch.settings.model_copy(
        update={"database_pool_size": 2, "database_timeout_seconds": 1.0}
    )
    database = await Database.open(settings)
    jobs = JobRepository(database, settings)
    release = asyncio.Event()

    async def slow() -> AsyncIterator[NewItem]:
        yield NewItem('"text"', 1)
        await release.wait()

    streams = [asyncio.create_task(jobs.submit(batch.new_job(), slow())) for _ in range(20)]
    await asyncio.sleep(0)
    quick, _ = await jobs.submit(batch.new_job(), as_items(["a"] * 20_000))
    assert quick.total == 20_000
    release.set()
    assert [job.total for job, _ in await asyncio.gather(*streams)] == [1] * 20
    await database.close()


async def test_large_jobs_are_received_on_disk(batch: Batch, tmp_path: Path) -> None:
    settings = batch.settings.model_copy(
        update={"spool_folder": str(tmp_path), "max_spool_bytes": 2_000_000}
    )
    jobs = JobRepository(batch.database, settings)
    texts = [f"text {number} " + "x" * 50 for number in range(12_000)]
    job, _ = await jobs.submit(batch.new_job(), as_items(texts))
    url = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT input FROM batch_items WHERE job_id = %s ORDER BY idx", [job.id]
        )
        assert [value for (value,) in await cursor.fetchall()] == texts
    with pytest.raises(PayloadTooLarge, match="SLIPWAY_MAX_SPOOL_BYTES"):
        await jobs.submit(batch.new_job(), as_items(texts * 3))
    assert await count(batch, "batch_jobs") == 1
    # The space was given back.
    assert (await jobs.submit(batch.new_job(), as_items(texts)))[0].total == 12_000


async def test_a_folder_that_cannot_be_written_is_a_lack_of_storage(
    batch: Batch, tmp_path: Path
) -> None:
    settings = batch.settings.model_copy(update={"spool_folder": str(tmp_path / "missing")})
    with pytest.raises(InsufficientStorage, match="cannot be written"):
        await JobRepository(batch.database, settings).submit(
            batch.new_job(), as_items(["text"] * 20_000)
        )
    await batch.submit(["a small job needs no disk"])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("batch_max_backlog_items", 150),
        ("batch_max_backlog_bytes", 1_000),
        ("database_max_bytes", 1),
    ],
)
async def test_a_full_backlog_takes_no_more_jobs(batch: Batch, setting: str, value: int) -> None:
    settings = batch.settings.model_copy(update={setting: value})
    jobs = JobRepository(batch.database, settings)
    known = batch.new_job(idempotency_key="k")
    await batch.jobs.submit(known, as_items(["text"] * 100))
    with pytest.raises(InsufficientStorage, match=f"SLIPWAY_{setting.upper()}"):
        await jobs.submit(batch.new_job(), as_items(["text"] * 100))
    assert await count(batch, "batch_jobs") == 1
    repeated = batch.new_job(idempotency_key="k")
    assert (await jobs.submit(repeated, as_items(["text"] * 100)))[0].id == known.id
    async with batch.database.transaction() as connection:
        usage = await read_usage(connection, settings.queue_name)
    ratios = Capacity.of(settings).ratios(usage)
    assert ratios[setting.split("_")[-1] if "batch" in setting else "database"] > 0.6
    if "batch" in setting:
        await batch.jobs.cancel(known.id)
        assert (await jobs.submit(batch.new_job(), as_items(["text"] * 100)))[0].total == 100


async def test_the_backlog_of_a_deployment_is_its_own(batch: Batch) -> None:
    settings = batch.settings.model_copy(update={"batch_max_backlog_items": 100})
    jobs = JobRepository(batch.database, settings)
    await batch.submit(["text"] * 100, queue="slipway:test:other")
    assert (await jobs.submit(batch.new_job(), as_items(["text"] * 100)))[0].total == 100


@pytest.mark.parametrize("key", [None, "known"])
async def test_an_endless_stream_is_aborted(batch: Batch, key: str | None) -> None:
    if key:
        await batch.submit(["a"], idempotency_key=key)
    settings = batch.settings.model_copy(update={"batch_submit_timeout_seconds": 1.0})

    async def endless() -> AsyncIterator[NewItem]:
        while True:
            yield NewItem('"text"', 1)
            await asyncio.sleep(0.1)

    with pytest.raises(RequestTimeout, match=r"within 1 s \(SLIPWAY_BATCH_SUBMIT_TIMEOUT_SECONDS"):
        async with asyncio.timeout(10):
            await JobRepository(batch.database, settings).submit(
                batch.new_job(idempotency_key=key), endless()
            )
    jobs = 1 if key else 0
    assert await count(batch, "batch_items") == await count(batch, "batch_jobs") == jobs
    await batch.database.ping()


async def test_an_unknown_task_is_not_found(batch: Batch) -> None:
    with pytest.raises(TaskNotFound):
        await batch.jobs.get(uuid7())
    with pytest.raises(TaskNotFound):
        await batch.jobs.cancel(uuid7())
