"""Everything is killed again and again, and no input is lost or computed into two results.

`make test-chaos` runs CHAOS_ROUNDS faults and prints the counts; `make test` runs a few.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
from tests.chaos.clients import Clients
from tests.chaos.faults import Deployment, Faults
from tests.chaos.proof import QUERIES, count_inputs, count_results, find_violations
from tests.fixtures.batch import Batch, WorkerProcesses, eventually
from tests.fixtures.services import StartInference

from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.errors import StoreUnavailable

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "10"))
SECONDS_PER_ROUND = 6
START_SECONDS = 60
END_SECONDS = 100
SEED = int(os.environ.get("CHAOS_SEED", "20261127"))
CLIENTS = 3

pytestmark = [
    pytest.mark.component,
    pytest.mark.timeout(ROUNDS * SECONDS_PER_ROUND + START_SECONDS + END_SECONDS),
]


@pytest.fixture
def deployment(
    batch: Batch,
    workers: WorkerProcesses,
    deadly_package: Path,
    start_inference: StartInference,
    postgres_server: PostgresServer,
    valkey_server: ValkeyServer,
) -> Deployment:
    settings = batch.settings
    return Deployment(
        deadly_package,
        start_inference,
        workers,
        postgres_server,
        valkey_server,
        {
            "namespace": settings.namespace,
            "deployment": settings.deployment,
            "database_url": settings.database_url.get_secret_value(),
            "redis_url": settings.redis_url.get_secret_value(),
            "database_timeout_seconds": settings.database_timeout_seconds,
            "batch_chunk_items": settings.batch_chunk_items,
        },
    )


async def test_nothing_is_lost_and_nothing_is_done_twice(
    batch: Batch, deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    url = batch.settings.database_url.get_secret_value()
    deployment.start()
    clients = Clients(lambda: deployment.urls, random.Random(SEED))
    faults = Faults(deployment, chance)
    stop = asyncio.Event()

    async def batch_works() -> bool:
        return bool(count_results(url))

    started = time.monotonic()
    submitting = [asyncio.create_task(clients.run(stop)) for _ in range(CLIENTS)]
    await eventually(batch_works, START_SECONDS, "the first result")
    await faults.run(ROUNDS)
    stop.set()
    await asyncio.gather(*submitting)

    async def all_ended() -> bool:
        try:
            backlog = await batch.chunks.backlog()
        except StoreUnavailable:
            return False
        return not (backlog.waiting or backlog.running)

    await eventually(all_ended, END_SECONDS, "the end of all jobs")
    for task_id, state in clients.ended.items():
        job = await batch.jobs.get(task_id)  # type: ignore[arg-type]
        if job.state != state:
            clients.violations.append(f"{task_id} was {state} and is {job.state}")
    found = find_violations(url, list(clients.jobs))
    with capsys.disabled():
        print()  # noqa: T201
        print(f"seed {SEED}, {time.monotonic() - started:.0f} s")  # noqa: T201
        print("faults:", dict(faults.counts), "=", sum(faults.counts.values()))  # noqa: T201
        print("jobs:", dict(clients.counts), "inputs:", count_inputs(url))  # noqa: T201
        for name, count in found.items():
            print(f"{count} {name}")  # noqa: T201
            if ROUNDS > 10:
                print(QUERIES[name])  # noqa: T201
    assert clients.violations == []
    assert found == dict.fromkeys(QUERIES, 0)
