"""The doorbell and the queue worker on a real Valkey."""

from __future__ import annotations

import asyncio
import json
import pickle
from collections.abc import AsyncIterator

import pytest
import redis.asyncio
from pydantic import SecretStr
from tests.fixtures.batch import Batch, eventually, measure_lengths
from tests.fixtures.services import kill_server

from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.errors import InvalidSettings, QueueUnavailable
from slipway_core.queue.doorbell import ArqDoorbell
from slipway_core.settings import ServiceSettings

pytestmark = pytest.mark.component


def settings_of(redis_url: str) -> ServiceSettings:
    return ServiceSettings(redis_url=SecretStr(redis_url))


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    client = redis.asyncio.Redis.from_url(redis_url)
    yield client
    await client.aclose()


async def test_rings_are_json_in_a_sorted_set_with_the_name_of_the_deployment(
    batch: Batch, client: redis.asyncio.Redis
) -> None:
    await batch.doorbell.ring(["a:0:0", "a:1:0"])
    queue = f"slipway:test:{batch.settings.deployment}"
    assert await client.zrange(queue, 0, -1) == [b"a:0:0", b"a:1:0"]
    payload = json.loads(await client.get("arq:job:a:0:0"))
    assert payload["f"] == "claim_chunk"
    assert (payload["a"], payload["k"]) == ([], {})
    assert await client.ttl("arq:job:a:0:0") > 86_400


async def test_a_queued_ring_is_not_added_twice(batch: Batch, client: redis.asyncio.Redis) -> None:
    await batch.doorbell.ring(["a:0:0"])
    first = await client.zscore(batch.settings.queue_name, "a:0:0")
    await batch.doorbell.ring(["a:0:0", "a:1:0"])
    assert await client.zscore(batch.settings.queue_name, "a:0:0") == first
    assert await batch.doorbell.depth() == 2


async def test_many_rings_can_be_added_at_once(batch: Batch) -> None:
    await batch.doorbell.ring([f"a:{chunk}:0" for chunk in range(20_000)])
    assert await batch.doorbell.depth() == await batch.doorbell.waiting() == 20_000


async def test_the_queue_is_empty_when_all_jobs_have_ended(
    batch: Batch, client: redis.asyncio.Redis
) -> None:
    async with batch.worker(measure_lengths):
        await batch.wait_for(await batch.submit(["a"] * 200))

        async def is_empty() -> bool:
            return await batch.doorbell.depth() == 0

        await eventually(is_empty)
        assert await client.get(batch.settings.queue_name + ":health-check") is not None
    assert await client.keys("arq:*") == []


async def test_malformed_rings_run_no_code_and_do_not_stop_the_worker(
    batch: Batch, client: redis.asyncio.Redis
) -> None:
    for number, payload in enumerate([pickle.dumps({"f": "claim_chunk"}), b"{", b'{"f": "other"}']):
        await client.set(f"arq:job:malformed-{number}", payload)
        await client.zadd(batch.settings.queue_name, {f"malformed-{number}": 1})
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(["a"]))
    assert job.state == "succeeded"


async def test_rings_without_a_job_are_ignored(batch: Batch) -> None:
    await batch.doorbell.ring(["no such job:0:0", ":::", "x"])
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(["a"]))
    assert job.succeeded == 1


async def test_a_worker_survives_restarts_of_the_queue(
    batch: Batch, valkey_server: ValkeyServer
) -> None:
    async with batch.worker(measure_lengths):
        await batch.wait_for(await batch.submit(["a"]))
        for _ in range(2):
            kill_server(valkey_server)
            with pytest.raises(QueueUnavailable):
                await batch.doorbell.ring(["x"])
            valkey_server.start()

            job = await batch.wait_for(await batch.submit(["b"]))
            assert job.state == "succeeded"


async def test_results_computed_while_the_queue_is_unavailable_are_not_lost(
    batch: Batch, valkey_server: ValkeyServer
) -> None:
    computing, release = asyncio.Event(), asyncio.Event()

    async def block(items: list[object]) -> object:
        computing.set()
        await release.wait()
        return await measure_lengths(items)  # type: ignore[arg-type]

    async with batch.worker(block):  # type: ignore[arg-type]
        job_id = await batch.submit(["a"])
        await computing.wait()
        kill_server(valkey_server)
        release.set()
        assert (await batch.wait_for(job_id)).state == "succeeded"
        valkey_server.start()
    assert [result.attempts for result in await batch.results(job_id)] == [1]


async def test_an_unavailable_queue_is_reported_at_the_first_use(redis_url: str) -> None:
    doorbell = await ArqDoorbell.connect(settings_of("redis://127.0.0.1:1/0"))
    with pytest.raises(QueueUnavailable):
        await doorbell.ring(["x"])
    await doorbell.close()


@pytest.mark.parametrize("url", ["", "http://127.0.0.1", "nonsense"])
async def test_the_error_of_an_invalid_address_names_the_variable(url: str) -> None:
    with pytest.raises(InvalidSettings, match="SLIPWAY_REDIS_URL"):
        await ArqDoorbell.connect(settings_of(url))
