"""Leases of chunks: which worker may store results, and how chunks that kill workers are split."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import LiteralString

import psycopg
import pytest
from tests.fixtures.batch import Batch
from tests.fixtures.postgres import execute_as_owner

from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Claim, ItemResult
from slipway_core.store.splitting import MAX_ATTEMPTS, MAX_LOST_LEASES

pytestmark = pytest.mark.component

LEASE = timedelta(seconds=60)


def results_of(claim: Claim, *, attempts: int = 1) -> list[ItemResult]:
    return [
        ItemResult(claim.first_index + offset, {"length": len(text)}, b"", None, None, attempts)
        for offset, text in enumerate(claim.inputs)
    ]


async def claim(batch: Batch) -> Claim:
    claimed = await batch.chunks.claim(LEASE)
    assert claimed is not None
    assert await batch.chunks.begin(claimed) is True
    return claimed


async def end_leases(batch: Batch) -> None:
    """Expire all leases, as if every worker had died an hour ago."""
    await execute(
        batch,
        "UPDATE batch_chunks SET available_at = now() - interval '1 hour' WHERE state = 'running'",
    )


async def execute(batch: Batch, statement: LiteralString, *values: object) -> None:
    async with batch.database.transaction() as connection:
        await connection.execute(statement, values)


async def test_a_claim_has_the_inputs_and_options_of_its_chunk(batch: Batch) -> None:
    job_id = await batch.submit(["a", "bb"], labels=("x",), parameters={"k": 1})
    claimed = await claim(batch)
    assert (claimed.job_id, claimed.first_index, claimed.attempt) == (job_id, 0, 1)
    assert (claimed.modality, claimed.labels, claimed.parameters) == ("text", ("x",), {"k": 1})
    assert claimed.inputs == ["a", "bb"]
    assert (await batch.jobs.get(job_id)).state == "running"


async def test_a_chunk_is_claimed_by_one_worker(batch: Batch) -> None:
    await batch.submit(["a"] * 100)
    claims = await asyncio.gather(*(batch.chunks.claim(LEASE) for _ in range(6)))
    assert sorted(each.first_index for each in claims if each) == [0, 50]


async def test_chunks_of_other_queues_are_not_claimed(batch: Batch) -> None:
    await batch.submit(["a"], queue="slipway:test:other")
    assert await batch.chunks.claim(LEASE) is None


async def test_only_the_holder_of_the_lease_stores_results(batch: Batch) -> None:
    job_id = await batch.submit(["a", "bb"])
    dead = await claim(batch)
    await end_leases(batch)
    alive = await claim(batch)
    assert alive.attempt == 2
    assert await batch.chunks.complete(dead, results_of(dead)) is False
    assert await batch.chunks.renew(dead, LEASE) is False
    assert await batch.chunks.begin(dead) is False
    assert await batch.results(job_id) == []
    assert await batch.chunks.renew(alive, LEASE) is True
    assert await batch.chunks.complete(alive, results_of(alive, attempts=2)) is True
    assert await batch.chunks.complete(alive, results_of(alive, attempts=2)) is False
    assert await batch.chunks.complete(dead, results_of(dead)) is False
    job = await batch.jobs.get(job_id)
    assert (job.state, job.succeeded) == ("succeeded", 2)
    assert [result.attempts for result in await batch.results(job_id)] == [2, 2]


async def test_an_expired_lease_stays_valid_until_the_chunk_is_claimed_again(batch: Batch) -> None:
    job_id = await batch.submit(["a"])
    slow = await claim(batch)
    await end_leases(batch)
    assert await batch.chunks.claim(LEASE, [slow.lease_token]) is None
    assert await batch.chunks.complete(slow, results_of(slow)) is True
    assert (await batch.jobs.get(job_id)).state == "succeeded"


async def test_a_released_chunk_does_not_count_the_attempt(batch: Batch) -> None:
    await batch.submit(["a"])
    for _ in range(6):
        claimed = await claim(batch)
        assert claimed.attempt == 1
        await batch.chunks.release(claimed)


async def test_a_chunk_that_was_claimed_but_not_begun_counts_no_attempt(batch: Batch) -> None:
    await batch.submit(["a"] * 2)
    for _ in range(6):
        held = await batch.chunks.claim(LEASE)
        assert held is not None
        assert (held.attempt, len(held.inputs)) == (1, 2)
        await end_leases(batch)


async def test_a_chunk_for_later_is_not_claimed_before_its_time(batch: Batch) -> None:
    await batch.submit(["a"])
    await batch.chunks.retry_later(await claim(batch), timedelta(minutes=5))
    assert await batch.chunks.claim(LEASE) is None


async def test_an_existing_result_is_kept(batch: Batch) -> None:
    job_id = await batch.submit(["a", "bb"])
    url = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "INSERT INTO batch_results (job_id, idx, prediction, attempts)"
            " VALUES (%s, 0, '{\"first\": true}', 1)",
            [job_id],
        )
    claimed = await claim(batch)
    assert await batch.chunks.complete(claimed, results_of(claimed)) is True
    results = await batch.results(job_id)
    assert [result.prediction for result in results] == [{"first": True}, {"length": 2}]
    assert (await batch.jobs.get(job_id)).succeeded == 1


async def test_storing_results_may_exceed_the_statement_timeout(batch: Batch) -> None:
    job_id = await batch.submit(["a"])
    execute_as_owner(
        batch.settings.database_url.get_secret_value(),
        "CREATE FUNCTION sleep_2s() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END'",
        "CREATE TRIGGER sleep_2s BEFORE INSERT ON batch_results EXECUTE FUNCTION sleep_2s()",
    )
    database = await Database.open(
        batch.settings.model_copy(update={"database_timeout_seconds": 1.0})
    )
    chunks = ChunkRepository(database, batch.settings.queue_name)
    claimed = await claim(batch)
    assert await chunks.complete(claimed, results_of(claimed)) is True
    await database.close()
    assert (await batch.jobs.get(job_id)).state == "succeeded"


async def test_only_the_input_that_kills_workers_fails(batch: Batch) -> None:
    job_id = await batch.submit([f"text {number}" for number in range(50)])
    deadly, deaths = 17, 0
    while (claimed := await batch.chunks.claim(LEASE)) is not None:
        indexes = range(claimed.first_index, claimed.first_index + len(claimed.inputs))
        assert claimed.inputs == [f"text {index}" for index in indexes]
        assert await batch.chunks.begin(claimed)
        if deadly in indexes:
            deaths += 1
            await end_leases(batch)
        else:
            results = results_of(claimed, attempts=claimed.attempt)
            assert await batch.chunks.complete(claimed, results)
    job = await batch.jobs.get(job_id)
    assert (job.state, job.succeeded, job.failed) == ("partial", 49, 1)
    assert deaths == MAX_LOST_LEASES
    results = await batch.results(job_id)
    assert [result.index for result in results] == list(range(50))
    assert [result.index for result in results if result.error_code] == [deadly]
    assert (results[deadly].error_code, results[deadly].attempts) == (
        "WorkerCrashed",
        MAX_LOST_LEASES,
    )


async def test_lost_workers_do_not_make_healthy_inputs_fail(batch: Batch) -> None:
    job_id = await batch.submit(["a", "bb", "ccc"])
    for _ in range(10):
        await claim(batch)
        await end_leases(batch)
    while (claimed := await batch.chunks.claim(LEASE)) is not None:
        assert await batch.chunks.begin(claimed)
        assert await batch.chunks.complete(claimed, results_of(claimed))
    job = await batch.jobs.get(job_id)
    assert (job.state, job.succeeded, job.failed) == ("succeeded", 3, 0)


async def test_an_input_fails_soon_when_workers_survive_it(batch: Batch) -> None:
    job_id = await batch.submit(["a"])
    for _ in range(3):
        await claim(batch)
        await end_leases(batch)
    for attempt in range(MAX_ATTEMPTS):
        claimed = await claim(batch)
        assert (claimed.attempt, claimed.lost) == (4 + attempt, 3)
        await batch.chunks.retry_later(claimed, timedelta())
    assert await batch.chunks.claim(LEASE) is None
    (result,) = await batch.results(job_id)
    assert (result.error_code, result.attempts) == ("WorkerCrashed", 7)


async def test_other_inputs_go_first_after_an_input_has_lost_many_workers(batch: Batch) -> None:
    first = await batch.submit(["kills"])
    for _ in range(5):
        await claim(batch)
        await end_leases(batch)
    await claim(batch)
    await execute(batch, "UPDATE batch_chunks SET available_at = now()")
    second = await batch.submit(["harmless"])
    other = await claim(batch)
    assert other.job_id == second != first
    assert await batch.chunks.claim(LEASE) is None


@pytest.mark.parametrize("count", [1, 2, 7])
async def test_a_job_whose_workers_all_die_fails_eventually(batch: Batch, count: int) -> None:
    job_id = await batch.submit(["a"] * count)
    while (claimed := await batch.chunks.claim(LEASE)) is not None:
        await batch.chunks.begin(claimed)
        await end_leases(batch)
    job = await batch.jobs.get(job_id)
    assert (job.state, job.failed) == ("failed", count)


async def test_cancelling_while_chunks_are_split_leaves_none_open(batch: Batch) -> None:
    for _ in range(5):
        job_id = await batch.submit(["a"] * 50)
        for _ in range(2):
            await claim(batch)
            await end_leases(batch)
        await asyncio.gather(
            batch.chunks.claim(LEASE), batch.jobs.cancel(job_id), batch.jobs.cancel(job_id)
        )
        assert (await batch.jobs.get(job_id)).state == "cancelled"
        await end_leases(batch)
        assert await batch.chunks.claim(LEASE) is None


async def test_a_job_completed_and_cancelled_at_once_ends_in_one_state(batch: Batch) -> None:
    for _ in range(10):
        job_id = await batch.submit(["a"] * 100)
        claims = [await claim(batch), await claim(batch)]
        await asyncio.gather(
            *(batch.chunks.complete(each, results_of(each)) for each in claims),
            batch.jobs.cancel(job_id),
        )
        job = await batch.jobs.get(job_id)
        assert job.state in ("cancelled", "succeeded")
        assert len(await batch.results(job_id)) == job.succeeded
        assert await batch.jobs.cancel(job_id) == job


async def test_the_next_chunk_is_found_by_an_index(batch: Batch) -> None:
    await batch.submit(["a"] * 500)
    url = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SET enable_seqscan = off")
        cursor = await connection.execute(
            "EXPLAIN SELECT job_id FROM batch_chunks WHERE queue = 'q'"
            " AND state IN ('waiting', 'running') AND available_at <= now()"
            " ORDER BY job_id, chunk LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        plan = "\n".join(str(row[0]) for row in await cursor.fetchall())
    assert "batch_chunks_open" in plan
    assert "Sort" not in plan


async def test_a_job_waits_for_a_worker_with_its_model(batch: Batch) -> None:
    other = ChunkRepository(batch.database, batch.settings.queue_name, "b" * 64)
    mine = await batch.submit(["a"])
    theirs = await batch.submit(["b"], model_digest="b" * 64)
    claims = [await other.claim(LEASE), await other.claim(LEASE)]
    assert [claimed.job_id for claimed in claims if claimed] == [theirs]
    assert (await batch.jobs.get(mine)).state == "queued"
    assert (await claim(batch)).job_id == mine


async def test_an_unclaimed_chunk_is_rung_less_and_less_often(batch: Batch) -> None:
    await batch.submit(["a"], model_digest="b" * 64)

    async def is_rung_after(seconds: int) -> bool:
        ago = timedelta(seconds=seconds)
        await execute(batch, "UPDATE batch_chunks SET rung_at = now() - %s", ago)
        return bool(await batch.chunks.reserve_rings(0, timedelta(seconds=5), 10))

    assert await is_rung_after(6)
    assert not await is_rung_after(6)
    assert await is_rung_after(11)
    assert not await is_rung_after(11)
    await execute(batch, "UPDATE batch_chunks SET rings = 1000")
    assert not await is_rung_after(290)
    assert await is_rung_after(310)


async def test_a_released_chunk_is_rung_immediately(batch: Batch) -> None:
    await batch.submit(["a"])
    await execute(batch, "UPDATE batch_chunks SET rings = 1000")
    await batch.chunks.release(await claim(batch))
    assert len(await batch.chunks.reserve_rings(0, timedelta(seconds=5), 10)) == 1
