"""Batch workers on real servers: every item has one result, and the job counts it."""

from __future__ import annotations

import asyncio

import pytest
from tests.fixtures.batch import (
    Batch,
    assert_each_has_one_result,
    eventually,
    measure_lengths,
)

from slipway_core.inputs.items import Item, Outcome

pytestmark = pytest.mark.component


async def test_a_job_is_completed(batch: Batch) -> None:
    texts = [f"text {number}" for number in range(330)]
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(texts))
    assert (job.state, job.total, job.succeeded, job.failed) == ("succeeded", 330, 330, 0)
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.reason is None
    results = await batch.results(job.id)
    assert_each_has_one_result(results, texts)
    assert {result.attempts for result in results} == {1}


async def test_the_next_chunk_is_claimed_while_one_is_computed(batch: Batch) -> None:
    started: list[int] = []
    finish = asyncio.Event()

    async def compute(items: list[Item]) -> list[Outcome]:
        started.append(len(items))
        await finish.wait()
        return await measure_lengths(items)

    async def one_is_computed_and_two_are_claimed() -> bool:
        return bool(started) and (await batch.chunks.backlog()).running == 2

    async with batch.worker(compute, slots=2, concurrency=1):
        job_id = await batch.submit([f"text {number}" for number in range(330)])
        await eventually(one_is_computed_and_two_are_claimed)
        assert len(started) == 1
        finish.set()
        assert (await batch.wait_for(job_id)).succeeded == 330


async def test_the_error_of_an_item_does_not_affect_others(batch: Batch) -> None:
    texts = ["a", "raise", "ccc"]
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(texts))
    assert (job.state, job.succeeded, job.failed) == ("partial", 2, 1)
    assert job.reason is not None
    assert "1 of 3" in job.reason
    results = await batch.results(job.id)
    assert_each_has_one_result(results, texts)
    assert [result.error_code for result in results] == [None, "PredictionFailed", None]


async def test_a_job_fails_when_all_its_items_fail(batch: Batch) -> None:
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(["raise"]))
    assert (job.state, job.succeeded, job.failed) == ("failed", 0, 1)


async def test_vectors_are_stored_exactly(batch: Batch) -> None:
    vector = bytes(range(256)) * 6

    async def embed(items: list[Item]) -> list[Outcome]:
        return [Outcome(prediction={"dimensions": 384}, embedding=vector) for _ in items]

    async with batch.worker(embed):
        job = await batch.wait_for(await batch.submit(["a", "b"]))
    results = await batch.results(job.id)
    assert [result.embedding for result in results] == [vector, vector]


async def test_values_that_jsonb_rejects_are_replaced(batch: Batch) -> None:
    async def predict(items: list[Item]) -> list[Outcome]:
        return [Outcome(prediction={"a": "x\0y", "b": float("nan"), "c": "\ud800"}) for _ in items]

    async with batch.worker(predict):
        job = await batch.wait_for(await batch.submit(["a"]))
    (result,) = await batch.results(job.id)
    assert result.prediction == {"a": "x\ufffdy", "b": None, "c": "?"}


async def test_labels_and_parameters_reach_the_model(batch: Batch) -> None:
    received: list[Item] = []

    async def record(items: list[Item]) -> list[Outcome]:
        received.extend(items)
        return await measure_lengths(items)

    async with batch.worker(record):
        job = await batch.submit(["a"], labels=("x", "y"), parameters={"top_k": 3})
        await batch.wait_for(job)
    assert received == [Item("text", "a", ("x", "y"), {"top_k": 3})]


async def test_results_are_read_in_pages(batch: Batch) -> None:
    texts = [f"text {number}" for number in range(130)]
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(texts))
    first = await batch.jobs.results(job.id, -1, 100)
    second = await batch.jobs.results(job.id, first[-1].index, 100)
    assert_each_has_one_result(first + second, texts)
    assert await batch.jobs.results(job.id, 129, 100) == []


async def test_a_cancelled_job_stops_and_rejects_results_in_flight(batch: Batch) -> None:
    computing, release = asyncio.Event(), asyncio.Event()

    async def block(items: list[Item]) -> list[Outcome]:
        computing.set()
        await release.wait()
        return await measure_lengths(items)

    async with batch.worker(block, slots=1):
        job_id = await batch.submit(["text"] * 500)
        await computing.wait()
        cancelled = await batch.jobs.cancel(job_id)
        assert (cancelled.state, cancelled.succeeded) == ("cancelled", 0)
        release.set()
        after = await batch.wait_for(await batch.submit(["next"]))
    assert after.state == "succeeded"
    assert await batch.results(job_id) == []
    assert await batch.jobs.cancel(job_id) == cancelled
    assert await batch.jobs.get(job_id) == cancelled


async def test_a_finished_job_cannot_be_cancelled(batch: Batch) -> None:
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(await batch.submit(["a"]))
    assert await batch.jobs.cancel(job.id) == job


async def test_a_worker_releases_its_chunk_when_the_drain_times_out(batch: Batch) -> None:
    computing = asyncio.Event()

    async def never(items: list[Item]) -> list[Outcome]:
        computing.set()
        await asyncio.Event().wait()
        return []

    batch.settings = batch.settings.model_copy(update={"drain_seconds": 0, "lease_seconds": 300})
    async with batch.worker(never, slots=1) as stop:
        job_id = await batch.submit(["a"] * 3)
        await computing.wait()
        stop.set()
    async with batch.worker(measure_lengths):
        job = await batch.wait_for(job_id, seconds=10)
    assert job.state == "succeeded"
    assert {result.attempts for result in await batch.results(job_id)} == {1}


async def test_a_draining_worker_finishes_its_chunk(batch: Batch) -> None:
    computing, release = asyncio.Event(), asyncio.Event()

    async def block(items: list[Item]) -> list[Outcome]:
        computing.set()
        await release.wait()
        return await measure_lengths(items)

    async with batch.worker(block, slots=1) as stop:
        job_id = await batch.submit(["a"] * 60)
        await computing.wait()
        stop.set()
        release.set()
    job = await batch.jobs.get(job_id)
    assert (job.state, job.succeeded) == ("running", 50)


async def test_a_worker_without_engines_leaves_its_chunks_to_others(
    batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slipway_batch.chunk_runner.NO_ENGINE_RETRY_SECONDS", 0.1)
    checked = asyncio.Event()

    def never() -> bool:
        checked.set()
        return False

    job_id = await batch.submit(["a"])
    async with batch.worker(measure_lengths, can_compute=never):
        await asyncio.wait_for(checked.wait(), 30)
    assert (await batch.chunks.backlog()).waiting == 1
    async with batch.worker(measure_lengths):
        assert (await batch.wait_for(job_id)).succeeded == 1
    assert [result.attempts for result in await batch.results(job_id)] == [1]


async def test_a_chunk_whose_computation_fails_is_retried(batch: Batch) -> None:
    calls = 0

    async def fail_once(items: list[Item]) -> list[Outcome]:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("no engine could be started")
        return await measure_lengths(items)

    async with batch.worker(fail_once):
        job_id = await batch.submit(["a", "b"])

        async def swept() -> bool:
            await batch.sweep()
            return (await batch.jobs.get(job_id)).finished

        await eventually(swept, 30)
    assert [result.attempts for result in await batch.results(job_id)] == [2, 2]


async def test_the_oldest_job_comes_first_for_any_ring(batch: Batch) -> None:
    first = await batch.submit(["a"], ring=False)
    second = await batch.submit(["b"])
    async with batch.worker(measure_lengths):
        await batch.wait_for(first)
        assert not (await batch.jobs.get(second)).finished
        await eventually(lambda: _swept(batch, second), 30)


async def _swept(batch: Batch, job_id: object) -> bool:
    await batch.sweep()
    return (await batch.jobs.get(job_id)).finished  # type: ignore[arg-type]


async def test_the_backlog_is_counted(batch: Batch) -> None:
    assert (await batch.chunks.backlog()).waiting == 0
    await batch.submit(["a"] * 120)
    backlog = await batch.chunks.backlog()
    assert (backlog.waiting, backlog.running) == (3, 0)
    assert backlog.oldest_seconds >= 0
    assert await batch.doorbell.depth() == await batch.doorbell.waiting() == 3
