"""Retries by request: failed items are computed again, succeeded ones keep their results."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from tests.fixtures.batch import Batch, measure_lengths
from tests.fixtures.inference_app import open_app
from tests.fixtures.problems import check_problem

from slipway_core.errors import RetryRefused, TaskNotFound
from slipway_core.inputs.items import Item, ItemFailure, Outcome
from slipway_core.store.identifiers import uuid7
from slipway_core.store.records import Job

pytestmark = pytest.mark.component

TEXTS = ["raise" if number % 7 == 3 or 60 <= number < 80 else "x" * number for number in range(170)]
FAILED = TEXTS.count("raise")


async def succeed(items: list[Item]) -> list[Outcome]:
    """Compute what `measure_lengths` rejects too."""
    return [Outcome(prediction={"again": True}) for _ in items]


async def fail(items: list[Item]) -> list[Outcome]:
    return [Outcome(failure=ItemFailure("PredictionFailed", "no")) for _ in items]


async def run_partial_job(batch: Batch, **options: Any) -> Job:
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(TEXTS, **options))
    assert (job.state, job.failed) == ("partial", FAILED)
    return job


async def retry(batch: Batch, job: Job) -> tuple[Job, list[str]]:
    retried, rings = await batch.jobs.retry(job.id, batch.model_digest)
    await batch.doorbell.ring(rings)
    return retried, rings


async def test_only_failed_items_are_computed_again(batch: Batch) -> None:
    job = await run_partial_job(batch)
    before = {result.index: result for result in await batch.results(job.id)}
    retried, rings = await retry(batch, job)
    assert (retried.state, retried.succeeded, retried.failed) == ("queued", 170 - FAILED, 0)
    assert (retried.reason, retried.finished_at) == (None, None)
    assert len(rings) == len(set(rings))
    async with batch.worker(succeed):
        done = await batch.wait_for(job.id)
    assert (done.state, done.succeeded, done.failed) == ("succeeded", 170, 0)
    after = await batch.results(job.id)
    assert [result.index for result in after] == list(range(170))
    for result in after:
        if TEXTS[result.index] == "raise":
            assert result.prediction == {"again": True}
        else:
            assert result == before[result.index]


async def test_a_repeated_retry_changes_nothing(batch: Batch) -> None:
    job = await run_partial_job(batch)
    outcomes = await asyncio.gather(*(retry(batch, job) for _ in range(5)))
    assert sum(bool(rings) for _, rings in outcomes) == 1
    async with batch.worker(succeed):
        done = await batch.wait_for(job.id)
    assert await retry(batch, job) == (done, [])


async def test_items_that_fail_again_can_be_retried_again(batch: Batch) -> None:
    job = await run_partial_job(batch)
    for _ in range(2):
        await retry(batch, job)
        async with batch.worker(fail):
            failed = await batch.wait_for(job.id)
        assert (failed.state, failed.succeeded, failed.failed) == ("partial", 170 - FAILED, FAILED)


async def test_the_deadline_of_a_retry_is_as_far_away_as_the_first(batch: Batch) -> None:
    job = await run_partial_job(batch, deadline_after=timedelta(seconds=300))
    retried, _ = await retry(batch, job)
    assert job.deadline is not None
    assert retried.deadline is not None
    assert timedelta() < retried.deadline - job.deadline < timedelta(seconds=60)


async def test_what_has_ended_otherwise_is_not_retried(batch: Batch) -> None:
    job = await run_partial_job(batch)
    with pytest.raises(RetryRefused, match="another version"):
        await batch.jobs.retry(job.id, "c" * 64)
    cancelled = await batch.jobs.cancel(await batch.submit(["a"]))
    with pytest.raises(RetryRefused, match="is cancelled"):
        await retry(batch, cancelled)
    with pytest.raises(TaskNotFound):
        await batch.jobs.retry(uuid7(), batch.model_digest)


async def test_a_job_is_retried_over_http(database_url: str, redis_url: str) -> None:
    async with open_app(database_url=database_url, redis_url=redis_url) as (client, _):
        url = (await client.post("/predict/text/batch", json={"inputs": ["a"]})).json()[
            "status_url"
        ]
        response = await client.post(url + "/retry")
        assert (response.status_code, response.json()["status"]) == (200, "queued")
        await client.delete(url)
        refused = check_problem(await client.post(url + "/retry"), status=409)
        assert refused["code"] == "RetryRefused"
