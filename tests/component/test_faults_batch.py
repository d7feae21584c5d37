"""Crashes of parts of a batch deployment, one at a time and in a loop.

Each test requires that every item has exactly one result, that none is lost or counted twice, and
that the status was correct at all times.

Servers are started from the main thread, because they exit when the thread that started them ends.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial
from uuid import UUID

import pytest
import redis
from tests.fixtures.batch import (
    Batch,
    StatusWatch,
    WorkerProcesses,
    assert_each_has_one_result,
    eventually,
)
from tests.fixtures.services import kill_server

from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.store.records import Job

pytestmark = [pytest.mark.component, pytest.mark.timeout(300)]

TEXTS = [f"text {number} " + "x" * (number % 50) for number in range(5_000)]


async def wait_until_started(batch: Batch, job_id: UUID, done: int = 100) -> None:
    """Wait until some items are done, so that the fault happens in the middle of the job."""

    async def enough() -> bool:
        return (await batch.jobs.get(job_id)).succeeded >= done

    await eventually(enough, 60, "the first results")


async def assert_complete(batch: Batch, job: Job, texts: list[str] = TEXTS) -> None:
    assert (job.state, job.succeeded, job.failed) == ("succeeded", len(texts), 0)
    assert_each_has_one_result(await batch.results(job.id), texts)


async def test_kill_a_batch_worker_in_the_middle(batch: Batch, workers: WorkerProcesses) -> None:
    first = workers.start()
    workers.start()
    job_id = await batch.submit(TEXTS)
    watch = StatusWatch(batch, job_id, len(TEXTS))
    watching = asyncio.create_task(watch.until_finished(120))
    await wait_until_started(batch, job_id)
    workers.kill(first)
    await assert_complete(batch, await watching)
    assert watch.failed_reads == 0


async def test_kill_valkey_and_lose_its_data(
    batch: Batch, workers: WorkerProcesses, valkey_server: ValkeyServer
) -> None:
    worker = workers.start()
    job_id = await batch.submit(TEXTS)
    watch = StatusWatch(batch, job_id, len(TEXTS))
    watching = asyncio.create_task(watch.until_finished(120))
    await wait_until_started(batch, job_id)
    kill_server(valkey_server)
    # Jobs are accepted without the queue; the ring is lost.
    late = await batch.submit(["late"], ring=False)
    valkey_server.start()
    with redis.Redis.from_url(valkey_server.url) as client:
        client.flushall()
    await assert_complete(batch, await watching)
    await assert_complete(batch, await batch.wait_for(late), ["late"])
    assert watch.failed_reads == 0
    assert worker.exit_status is None, "the worker must survive a restart of the queue"


async def test_kill_postgres_for_ten_seconds(
    batch: Batch, workers: WorkerProcesses, postgres_server: PostgresServer
) -> None:
    worker = workers.start()
    job_id = await batch.submit(TEXTS)
    watch = StatusWatch(batch, job_id, len(TEXTS))
    watching = asyncio.create_task(watch.until_finished(150))
    await wait_until_started(batch, job_id)
    kill_server(postgres_server)
    await asyncio.sleep(10)
    postgres_server.start()
    await assert_complete(batch, await watching)
    assert worker.exit_status is None, "the worker must survive a restart of the database"


async def test_an_input_that_kills_the_engine_fails_alone(
    batch: Batch, workers: WorkerProcesses
) -> None:
    workers.start(batch_chunk_items=200)
    texts = [*TEXTS[:150], "kill the engine", *TEXTS[150:300], "raise"]
    job = await batch.wait_for(await batch.submit(texts), 120)
    assert (job.state, job.succeeded, job.failed) == ("partial", 300, 2)
    results = await batch.results(job.id)
    assert_each_has_one_result(results, texts)
    assert results[150].error_code == "EngineCrashed"
    assert results[301].error_code == "PredictionFailed"


async def test_an_input_that_kills_the_worker_fails_alone(
    batch: Batch, workers: WorkerProcesses
) -> None:
    texts = [*TEXTS[:70], "kill the worker", *TEXTS[70:120]]
    job_id = await batch.submit(texts)
    watch = StatusWatch(batch, job_id, len(texts))
    watching = asyncio.create_task(watch.until_finished(150))
    restarts = 0
    # As the kernel does when memory is short: the sandbox would keep a model from its worker.
    start = partial(workers.start, max_lost_leases=5, sandbox="off")
    worker = start()
    while not watching.done():
        await asyncio.sleep(0.2)
        if worker.exit_status is not None:
            restarts += 1
            worker = start()
    job = await watching
    assert (job.state, job.succeeded, job.failed) == ("partial", 120, 1)
    results = await batch.results(job_id)
    assert_each_has_one_result(results, texts)
    assert (results[70].error_code, results[70].attempts) == ("WorkerCrashed", 5)
    assert restarts == 5


async def test_sigterm_finishes_or_releases_chunks(batch: Batch, workers: WorkerProcesses) -> None:
    first = workers.start(lease_seconds=300)
    job_id = await batch.submit(TEXTS)
    await wait_until_started(batch, job_id)
    first.terminate()
    assert await asyncio.to_thread(first.wait) == 0
    workers.start()
    await assert_complete(batch, await batch.wait_for(job_id, 60))
    assert {result.attempts for result in await batch.results(job_id)} == {1}


async def test_random_kills_in_a_loop(
    batch: Batch,
    workers: WorkerProcesses,
    postgres_server: PostgresServer,
    valkey_server: ValkeyServer,
) -> None:
    chance = random.Random(20261123)
    texts = TEXTS * 12
    job_id = await batch.submit(texts)
    watch = StatusWatch(batch, job_id, len(texts))
    watching = asyncio.create_task(watch.until_finished(240))
    running = [workers.start(), workers.start()]
    rounds = 0
    while rounds < 12:
        await asyncio.sleep(chance.uniform(0.5, 3))
        kind = ("worker", "worker", "valkey", "postgres")[rounds % 4]
        if kind == "worker":
            workers.kill(running.pop(0))
            running.append(workers.start())
        elif kind == "valkey":
            kill_server(valkey_server)
            valkey_server.start()
            if chance.random() < 0.5:
                with redis.Redis.from_url(valkey_server.url) as client:
                    client.flushall()
        else:
            kill_server(postgres_server)
            await asyncio.sleep(chance.uniform(0, 2))
            postgres_server.start()
        rounds += 1
    assert not watching.done(), "the job ended before the last kill"
    await assert_complete(batch, await watching, texts)
    assert all(worker.exit_status is None for worker in running)
