"""Batch jobs as their owners see them: submit, status, results, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from slipway_core.errors import IdempotencyConflict, RequestTimeout, StoreUnavailable, TaskNotFound
from slipway_core.queue.contract import ring_id
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.database import (
    LONG_STATEMENT_SECONDS,
    Connection,
    Database,
    allow_seconds,
)
from slipway_core.store.records import ItemResult, Job, NewItem, NewJob
from slipway_core.store.submission import (
    Received,
    SubmissionLimits,
    digest_of,
    receive_items,
    store_chunks,
)
from slipway_core.webhooks.address_policy import WebhookPolicy

JOB_COLUMNS: LiteralString = (
    "id, state, model, version, modality, total, succeeded, failed, created_at, started_at,"
    " finished_at, deadline, reason"
)
PAGE = 1_000


class _Duplicate(Exception):
    """Another submission with this key was committed first; ends the transaction."""


class JobRepository:
    """Reads and writes batch jobs. All methods raise StoreUnavailable."""

    def __init__(self, database: Database, settings: ServiceSettings) -> None:
        self._database = database
        self._limits = SubmissionLimits(
            chunk_tokens=settings.batch_chunk_tokens,
            chunk_items=settings.batch_chunk_items,
            max_items=settings.batch_max_items,
        )
        self._webhooks = WebhookPolicy(settings)
        self._submit_timeout_seconds = settings.batch_submit_timeout_seconds
        # A slow stream holds its connection: others must stay free for everything else.
        self._receiving = asyncio.Semaphore(max(1, database.pool_size // 2))

    async def submit(self, job: NewJob, items: AsyncIterator[NewItem]) -> tuple[Job, list[str]]:
        """Store a job with its inputs, all or nothing; the job and the rings to announce it by.

        A key that was used before gives the job of that time and no rings when the request is the
        same, and raises IdempotencyConflict when it is not. Raises InvalidInput, PayloadTooLarge,
        RequestTimeout, WebhookRefused, and whatever `items` raises.
        """
        if job.webhook_url is not None:
            await self._webhooks.resolve(job.webhook_url)
        if job.idempotency_key is not None:
            known = await self._find_key(job)
            if known is not None:
                digest = await digest_of(job, items, self._limits)
                return _repeated(known, digest), []
        try:
            return await self._store(job, items)
        except _Duplicate as duplicate:
            known = await self._find_key(job)
            if known is None:
                raise IdempotencyConflict(
                    "another request with this Idempotency-Key came at the same time: try again"
                ) from None
            return _repeated(known, duplicate.args[0]), []

    async def get(self, job_id: UUID) -> Job:
        """The job as it is now; raises TaskNotFound."""
        async with self._database.transaction() as connection:
            return await read_job(connection, job_id)

    async def results(self, job_id: UUID, after: int, limit: int) -> list[ItemResult]:
        """At most `limit` results of inputs whose index is greater than `after`, by index.

        -1 begins at the first input. An unknown job has no results.
        """
        async with (
            self._database.transaction() as connection,
            connection.cursor(binary=True) as cursor,
        ):
            await cursor.execute(
                "SELECT idx, prediction, embedding, error_code, error_message, attempts"
                " FROM batch_results WHERE job_id = %s AND idx > %s ORDER BY idx LIMIT %s",
                [job_id, after, limit],
            )
            return [
                ItemResult(index, prediction, embedding or b"", code, message, attempts)
                for index, prediction, embedding, code, message, attempts in await cursor.fetchall()
            ]

    async def result_pages(self, job_id: UUID, after: int = -1) -> AsyncIterator[list[ItemResult]]:
        """All results after `after` that there are, in pages: no connection is held between."""
        while page := await self.results(job_id, after, PAGE):
            yield page
            after = page[-1].index

    async def cancel(self, job_id: UUID) -> Job:
        """Stop what has not run; a job that ended stays as it is. Raises TaskNotFound."""
        async with self._database.transaction() as connection:
            await close_job(connection, job_id, "cancelled", "cancelled by request")
            return await read_job(connection, job_id)

    async def expire(self, limit: int = 100) -> int:
        """End jobs whose deadline is over, at most `limit` at once; returns how many."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id FROM batch_jobs WHERE state IN ('queued', 'running')"
                " AND deadline <= now() ORDER BY deadline LIMIT %s",
                [limit],
            )
            overdue = [job_id for (job_id,) in await cursor.fetchall()]
        for job_id in overdue:
            async with self._database.transaction() as connection:
                await close_job(connection, job_id, "expired", "the deadline passed")
        return len(overdue)

    async def _store(self, job: NewJob, items: AsyncIterator[NewItem]) -> tuple[Job, list[str]]:
        async with self._turn_to_receive(), self._database.transaction() as connection:
            await allow_seconds(connection, self._submit_timeout_seconds)
            received = await self._receive(connection, job, items)
            await _insert_job(connection, job, received)
            await store_chunks(connection, job.id, job.queue, received.counts)
            stored = await read_job(connection, job.id)
        return stored, [ring_id(job.id, chunk, 0) for chunk in range(len(received.counts))]

    async def _receive(
        self, connection: Connection, job: NewJob, items: AsyncIterator[NewItem]
    ) -> Received:
        # The server's own timeout would be heard of only when the stream is at its end.
        try:
            async with asyncio.timeout(self._submit_timeout_seconds):
                return await receive_items(connection, job, items, self._limits)
        except TimeoutError:
            raise RequestTimeout(
                f"the inputs did not arrive within {self._submit_timeout_seconds:g} s"
                " (SLIPWAY_BATCH_SUBMIT_TIMEOUT_SECONDS): send them faster, or as several jobs"
            ) from None

    @asynccontextmanager
    async def _turn_to_receive(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._database.timeout_seconds):
                await self._receiving.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                "too many batch jobs are being received at once: try again in a moment",
                retry_after_seconds=5,
            ) from None
        try:
            yield
        finally:
            self._receiving.release()

    async def _find_key(self, job: NewJob) -> tuple[Job, bytes] | None:
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id, request_digest FROM batch_jobs"
                " WHERE queue = %s AND idempotency_key = %s",
                [job.queue, job.idempotency_key],
            )
            found = await cursor.fetchone()
            if found is None:
                return None
            return await read_job(connection, found[0]), bytes(found[1])


async def read_job(connection: Connection, job_id: UUID) -> Job:
    """The job in the connection's transaction; raises TaskNotFound."""
    cursor = await connection.execute(
        "SELECT " + JOB_COLUMNS + " FROM batch_jobs WHERE id = %s", [job_id]
    )
    found = await cursor.fetchone()
    if found is None:
        raise TaskNotFound(
            f"there is no task {job_id}: it was never created, or is past its retention"
        )
    return Job(*found)


async def close_job(connection: Connection, job_id: UUID, state: str, reason: str) -> None:
    """End an open job in `state`: its chunks are withdrawn and results in flight are refused."""
    # Many chunks take their time; one whose results are just being written is not waited for.
    await allow_seconds(connection, LONG_STATEMENT_SECONDS)
    await connection.execute("SET LOCAL lock_timeout = '10s'")
    await _withdraw_chunks(connection, job_id)
    await connection.execute(
        "UPDATE batch_jobs SET state = %s, reason = %s, finished_at = now(),"
        " webhook_next_at = CASE WHEN webhook_url IS NOT NULL THEN now() END"
        " WHERE id = %s AND state IN ('queued', 'running')",
        [state, reason, job_id],
    )
    # A chunk that was split meanwhile has parts that the first statement did not see. Splitting
    # locks the job's row, so no more can come after the second.
    await _withdraw_chunks(connection, job_id)


async def _withdraw_chunks(connection: Connection, job_id: UUID) -> None:
    # Locked in one order, so that two who close the same job do not wait for each other.
    await connection.execute(
        "UPDATE batch_chunks SET state = 'cancelled', lease_token = NULL"
        " FROM (SELECT chunk AS number FROM batch_chunks"
        "        WHERE job_id = %(id)s AND state IN ('waiting', 'running')"
        "        ORDER BY chunk FOR UPDATE) AS open_chunks"
        " WHERE job_id = %(id)s AND chunk = number",
        {"id": job_id},
    )


async def _insert_job(connection: Connection, job: NewJob, received: Received) -> None:
    cursor = await connection.execute(
        "INSERT INTO batch_jobs (id, queue, state, model, version, model_digest, modality, labels,"
        " parameters, idempotency_key, request_digest, total, deadline, webhook_url)"
        " VALUES (%s, %s, 'queued', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (queue, idempotency_key) DO NOTHING",
        [
            job.id, job.queue, job.model, job.version, job.model_digest, job.modality,
            Jsonb(list(job.labels)), Jsonb(job.parameters), job.idempotency_key, received.digest,
            sum(received.counts), job.deadline, job.webhook_url,
        ],
    )  # fmt: skip
    if not cursor.rowcount:
        raise _Duplicate(received.digest)


def _repeated(known: tuple[Job, bytes], digest: bytes) -> Job:
    job, known_digest = known
    if digest != known_digest:
        raise IdempotencyConflict(
            "this Idempotency-Key was used with another request: send each request with its own key"
        )
    return job
