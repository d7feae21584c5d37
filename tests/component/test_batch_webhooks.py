"""Webhook calls to a real receiver: signed, retried until accepted, stored in the database."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from pydantic import SecretStr
from tests.fixtures.batch import Batch, eventually, measure_lengths

from slipway_batch.settings import BatchSettings
from slipway_core.maintenance.webhooks.sender import (
    MAX_CALLS_PER_RECEIVER,
    WebhookSender,
    keep_delivering,
)

pytestmark = pytest.mark.component


@dataclass
class Receiver:
    """Respond to each call with the next of `statuses`. The last one is repeated."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [200])
    heads: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
        self.bodies.append(await reader.readexactly(int(headers["content-length"])))
        self.heads.append({"request": head[0], **headers})
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        response = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\nLocation: http://10.0.0.1/\r\n\r\n"
        writer.write(response.encode())
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?a=b"
    yield receiver
    server.close()
    await server.wait_closed()


async def deliver_due(batch: Batch, settings: BatchSettings | None = None) -> int:
    """Make the calls that are due, wait for their ends, and return how many there were."""
    async with WebhookSender(batch.database, settings or batch.settings) as sender:
        count = await sender.start_due()
        await sender.wait_for_all()
    return count


async def run_job(batch: Batch, url: str, texts: list[str]) -> UUID:
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(texts, webhook_url=url))
    return job.id


async def make_due(batch: Batch) -> None:
    """Skip the pause before the next attempt."""
    url = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(
            "UPDATE batch_jobs SET webhook_next_at = now() WHERE webhook_next_at IS NOT NULL"
        )


async def test_a_finished_job_causes_one_signed_call(batch: Batch, receiver: Receiver) -> None:
    job_id = await run_job(batch, receiver.url, ["a", "raise"])
    assert await deliver_due(batch) == 1
    assert await deliver_due(batch) == 0
    (head,), (body,) = receiver.heads, receiver.bodies
    assert head["request"] == "POST /hook?a=b HTTP/1.1"
    assert head["slipway-delivery"] == str(job_id)
    summary = json.loads(body)
    assert {key: summary[key] for key in ("task_id", "status", "total", "succeeded", "failed")} == {
        "task_id": str(job_id), "status": "partial", "total": 2, "succeeded": 1, "failed": 1,
    }  # fmt: skip
    fields = dict(part.split("=") for part in head["slipway-signature"].split(","))
    secret = batch.settings.webhook_secret.get_secret_value().encode()
    signed = hmac.new(secret, f"{fields['t']}.".encode() + body, hashlib.sha256)
    assert fields["v1"] == signed.hexdigest()


async def test_a_call_is_repeated_until_it_is_accepted(batch: Batch, receiver: Receiver) -> None:
    receiver.statuses = [500, 302, 204]
    await run_job(batch, receiver.url, ["a"])
    for attempt in (1, 2, 3):
        assert await deliver_due(batch) == 1
        assert len(receiver.bodies) == attempt
        assert await deliver_due(batch) == 0, "the next attempt is not due"
        await make_due(batch)
    assert await deliver_due(batch) == 0, "it was accepted"
    assert len({head["slipway-delivery"] for head in receiver.heads}) == 1


async def test_a_call_is_given_up_after_eight_attempts(batch: Batch) -> None:
    await run_job(batch, "http://127.0.0.1:1/", ["a"])
    for _ in range(8):
        assert await deliver_due(batch) == 1
        await make_due(batch)
    assert await deliver_due(batch) == 0


@pytest.mark.parametrize("state", ["cancelled", "expired"])
async def test_every_final_state_causes_a_call(
    batch: Batch, receiver: Receiver, state: str
) -> None:
    job_id = await batch.submit(["a"], ring=False, webhook_url=receiver.url)
    if state == "cancelled":
        await batch.jobs.cancel(job_id)
    else:
        url = batch.settings.database_url.get_secret_value()
        async with await psycopg.AsyncConnection.connect(url) as connection:
            await connection.execute("UPDATE batch_jobs SET deadline = now()")
    await batch.sweep()
    await deliver_due(batch)
    assert json.loads(receiver.bodies[0])["status"] == state


async def test_a_retried_job_causes_another_call(batch: Batch, receiver: Receiver) -> None:
    job_id = await run_job(batch, receiver.url, ["a", "raise"])
    assert await deliver_due(batch) == 1
    async with batch.worker(measure_lengths):
        _, rings = await batch.jobs.retry(job_id, batch.model_digest)
        await batch.doorbell.ring(rings)
        await batch.wait_for(job_id)
    assert await deliver_due(batch) == 1
    deliveries = [head["slipway-delivery"] for head in receiver.heads]
    assert deliveries == [str(job_id), f"{job_id}:1"]


async def test_a_process_without_the_secret_leaves_the_calls_to_others(
    batch: Batch, receiver: Receiver
) -> None:
    await run_job(batch, receiver.url, ["a"])
    other = batch.settings.model_copy(update={"webhook_secret": SecretStr("")})
    await keep_delivering(batch.database, other)
    assert await deliver_due(batch) == 1
    assert len(receiver.bodies) == 1


async def test_a_host_that_is_no_longer_allowed_is_not_called(
    batch: Batch, receiver: Receiver
) -> None:
    await run_job(batch, receiver.url, ["a"])
    strict = batch.settings.model_copy(update={"webhook_allowed_hosts": ""})
    assert await deliver_due(batch, strict) == 1
    assert receiver.bodies == []


async def test_a_url_that_cannot_be_called_does_not_affect_others(
    batch: Batch, receiver: Receiver
) -> None:
    invalid = await run_job(batch, receiver.url, ["a"])
    await run_job(batch, receiver.url, ["b"])
    database = batch.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(database) as connection:
        await connection.execute(
            "UPDATE batch_jobs SET webhook_url = %s WHERE id = %s",
            ["http://b\u00fccher.invalid/", invalid],
        )
    assert await deliver_due(batch) == 2
    assert len(receiver.bodies) == 1
    assert await deliver_due(batch) == 0, "it counts as an attempt"


async def test_two_senders_do_not_call_twice(batch: Batch, receiver: Receiver) -> None:
    await run_job(batch, receiver.url, ["a"])
    senders = (deliver_due(batch) for _ in range(4))
    assert sum(await asyncio.gather(*senders)) == 1
    assert len(receiver.bodies) == 1


@pytest.fixture
async def silent_address() -> AsyncIterator[str]:
    """Host and port of a receiver that accepts connections and never answers."""
    ended = asyncio.Event()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    ended.set()
    server.close()
    await server.wait_closed()


async def finish_jobs(batch: Batch, urls: list[str]) -> None:
    """Store jobs that have ended, the first long ago, with webhooks that are due in this order."""
    for url in urls:
        await batch.jobs.cancel(await batch.submit(["a"], ring=False, webhook_url=url))


async def test_receivers_that_never_answer_delay_no_others(
    batch: Batch, receiver: Receiver, silent_address: str
) -> None:
    silent = [f"http://{silent_address}?{number}" for number in range(100)]
    await finish_jobs(batch, [*silent, receiver.url, receiver.url])
    delivering = asyncio.create_task(keep_delivering(batch.database, batch.settings))

    async def delivered() -> bool:
        return len(receiver.bodies) == 2

    await eventually(delivered, 5, "the calls to the receiver that answers")
    delivering.cancel()
    await asyncio.wait({delivering})


async def test_one_receiver_gets_few_calls_at_a_time(batch: Batch, silent_address: str) -> None:
    await finish_jobs(batch, [f"http://{silent_address}/{number}" for number in range(9)])
    async with WebhookSender(batch.database, batch.settings) as sender:
        assert await sender.start_due() == MAX_CALLS_PER_RECEIVER
        assert await sender.start_due() == 0


async def test_sweeps_wait_for_no_call(batch: Batch, silent_address: str) -> None:
    await finish_jobs(batch, [f"http://{silent_address}/"])
    late = await batch.submit(["a"], ring=False, deadline_after=timedelta())
    async with asyncio.timeout(5):
        await batch.sweep()
    assert (await batch.jobs.get(late)).state == "expired"
