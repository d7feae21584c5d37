"""Batch jobs as their owners see them: submit, status, results, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from slipway_core.errors import IdempotencyConflict, RequestTimeout, StoreUnavailable, TaskNotFound
from slipway_core.queue.contract import ring_id
from slipway_core.settings import ServiceSettings
from slipway_core.store.capacity import Capacity, read_usage
from slipway_core.store.closing import close_job
from slipway_core.store.identifiers import uuid7
from slipway_core.store.postgres.connection import (
    LONG_STATEMENT_SECONDS,
    Connection,
    read_time,
    set_statement_timeout,
)
from slipway_core.store.postgres.database import Database
from slipway_core.store.postgres.jsonb import read_json
from slipway_core.store.postgres.page import MAX_PAGE_BYTES, Page, read_page
from slipway_core.store.records import ItemResult, Job, NewItem, NewJob
from slipway_core.store.retries import requeue_failed
from slipway_core.store.spool import Spool, SpoolSpace
from slipway_core.store.states import JOB_IS_OPEN
from slipway_core.store.submission import (
    ReceivedItems,
    SubmissionLimits,
    compute_digest,
    receive_items,
    store_chunks,
    store_items,
)

JOB_COLUMNS: LiteralString = (
    "id, state, model, version, modality, total, succeeded, failed, created_at, started_at,"
    " finished_at, deadline, reason"
)
STORING_WAIT_SECONDS = 60
"""Time for which a received job waits until others are stored."""
PAGE_SIZE = 1_000
"""Results per query when all results of a job are read."""
STREAM_PAGE_BYTES = 512 * 1024
"""Size of these results: each of many streams holds a page while its client does not read."""


class _DuplicateKey(Exception):
    """Another submission with the same key was committed first; this ends the transaction."""

    def __init__(self, digest: bytes) -> None:
        super().__init__()
        self.digest = digest


class JobRepository:
    """The batch jobs of one deployment's queue. Those of others are not found. All methods raise
    StoreUnavailable.
    """

    def __init__(self, database: Database, settings: ServiceSettings) -> None:
        self._database = database
        self._queue = settings.queue_name
        self._limits = SubmissionLimits(
            chunk_tokens=settings.batch_chunk_tokens,
            chunk_items=settings.batch_chunk_items,
            max_items=settings.batch_max_items,
        )
        self._submit_timeout_seconds = settings.batch_submit_timeout_seconds
        self._capacity = Capacity.of(settings)
        self._spool_space = SpoolSpace(settings.spool_folder, settings.max_spool_bytes)
        # A large job occupies its connection for long: keep half of them free for everything else.
        self._storing_large = asyncio.Semaphore(max(1, database.pool_size // 2))

    async def submit(self, job: NewJob, items: AsyncIterator[NewItem]) -> tuple[Job, list[str]]:
        """Store a job and its inputs, all or nothing. Return the job and the rings to announce it.

        When the idempotency key was used before, nothing is stored: an equal request returns the
        existing job and no rings, a different one raises IdempotencyConflict.

        The caller has checked the webhook URL. Raises InvalidInput, PayloadTooLarge,
        RequestTimeout, TooManyStreams, InsufficientStorage, and every exception of `items`.
        """
        if job.idempotency_key is not None:
            existing = await self._find_by_key(job)
            if existing is not None:
                async with self._receiving():
                    digest = await compute_digest(job, items, self._limits)
                return _repeated(existing, digest), []
        try:
            return await self._store(job, items)
        except _DuplicateKey as duplicate:
            existing = await self._find_by_key(job)
            if existing is None:
                raise IdempotencyConflict(
                    "another request with this Idempotency-Key came at the same time: try again"
                ) from None
            return _repeated(existing, duplicate.digest), []

    async def get(self, job_id: UUID) -> Job:
        """Return a job. Raises TaskNotFound."""
        async with self._database.transaction() as connection:
            return await read_job(connection, job_id, self._queue)

    async def results(
        self, job_id: UUID, after: int, limit: int, max_bytes: int = MAX_PAGE_BYTES
    ) -> Page[ItemResult]:
        """Return at most `limit` results with an index greater than `after`, in index order, within
        the size of a page.

        Use -1 for the first page. An unknown job has no results.
        """
        query = (
            "SELECT idx, prediction, embedding, error_code, error_message, attempts"
            " FROM batch_results WHERE job_id = %s AND idx > %s AND EXISTS"
            " (SELECT 1 FROM batch_jobs WHERE id = %s AND queue = %s) ORDER BY idx LIMIT %s"
        )
        values = [job_id, after, job_id, self._queue, limit]
        async with self._database.transaction() as connection:
            return await read_page(connection, query, values, limit, _decode_result, max_bytes)

    async def result_pages(self, job_id: UUID, after: int = -1) -> AsyncIterator[Page[ItemResult]]:
        """Yield all stored results after `after` in pages, holding no connection between them."""
        while page := await self.results(job_id, after, PAGE_SIZE, STREAM_PAGE_BYTES):
            yield page
            after = page[-1].index

    async def cancel(self, job_id: UUID) -> Job:
        """Cancel the open chunks of a job; a finished job stays as it is. Raises TaskNotFound."""
        async with self._database.transaction() as connection:
            await read_job(connection, job_id, self._queue)
            await close_job(connection, job_id, "cancelled", "cancelled by request")
            return await read_job(connection, job_id, self._queue)

    async def retry(self, job_id: UUID, model_digest: str) -> tuple[Job, list[str]]:
        """Queue the failed items of a job that ended as partial or failed, and keep all others'
        results. Return the job and the rings to announce it.

        Nothing changes when nothing has failed, or while the job runs: a repeated request does no
        harm. Raises TaskNotFound, and RetryRefused when the job was cancelled, has expired, or
        belongs to another model than `model_digest`.
        """
        async with self._database.transaction() as connection:
            await set_statement_timeout(connection, LONG_STATEMENT_SECONDS)
            await read_job(connection, job_id, self._queue)
            rings = await requeue_failed(connection, job_id, model_digest, self._limits)
            return await read_job(connection, job_id, self._queue), rings

    async def expire(self, limit: int = 100) -> int:
        """End at most `limit` jobs, of any queue, whose deadline has passed; return how many."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id FROM batch_jobs WHERE "
                + JOB_IS_OPEN
                + " AND deadline <= now() ORDER BY deadline LIMIT %s",
                [limit],
            )
            overdue = [job_id for (job_id,) in await cursor.fetchall()]
        for job_id in overdue:
            async with self._database.transaction() as connection:
                await close_job(connection, job_id, "expired", "the deadline passed")
        return len(overdue)

    async def _store(self, job: NewJob, items: AsyncIterator[NewItem]) -> tuple[Job, list[str]]:
        async with self._database.transaction() as connection:  # before anything is received
            self._capacity.check(await read_usage(connection, job.queue))
            job_id = job.id or uuid7(await read_time(connection))
        with self._spool_space.open() as spool:
            async with self._receiving():
                received = await receive_items(spool, job_id, job, items, self._limits)
            async with self._storing_slot(spool), self._database.transaction() as connection:
                usage = await read_usage(connection, job.queue)
                self._capacity.check(usage, received.total, received.size)
                await set_statement_timeout(connection, self._submit_timeout_seconds)
                await store_items(connection, spool)
                await _insert_job(connection, job_id, job, received)
                await store_chunks(connection, job_id, job.queue, received.counts)
                stored = await read_job(connection, job_id, job.queue)
        return stored, [ring_id(job_id, chunk, 0) for chunk in range(len(received.counts))]

    @asynccontextmanager
    async def _receiving(self) -> AsyncIterator[None]:
        """Limit the time within which all inputs arrive. Raises RequestTimeout."""
        try:
            async with asyncio.timeout(self._submit_timeout_seconds):
                yield
        except TimeoutError:
            raise RequestTimeout(
                f"the inputs did not arrive within {self._submit_timeout_seconds:g} s"
                " (SLIPWAY_BATCH_SUBMIT_TIMEOUT_SECONDS): send them faster, or as several jobs"
            ) from None

    @asynccontextmanager
    async def _storing_slot(self, spool: Spool) -> AsyncIterator[None]:
        if not spool.is_on_disk:
            yield  # a moment
            return
        try:
            async with asyncio.timeout(STORING_WAIT_SECONDS):
                await self._storing_large.acquire()
        except TimeoutError:
            raise StoreUnavailable(
                "too many large batch jobs are being stored at once: try again in a moment",
                retry_after_seconds=5,
            ) from None
        try:
            yield
        finally:
            self._storing_large.release()

    async def _find_by_key(self, job: NewJob) -> tuple[Job, bytes] | None:
        """Return the job with the same idempotency key, and the digest of its request."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT id, request_digest FROM batch_jobs"
                " WHERE queue = %s AND idempotency_key = %s",
                [job.queue, job.idempotency_key],
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            return await read_job(connection, row[0], job.queue), bytes(row[1])


def _decode_result(columns: tuple[Any, ...]) -> ItemResult:
    index, prediction, embedding, code, message, attempts = columns
    if prediction is not None:
        prediction = read_json(prediction)
    return ItemResult(index, prediction, embedding or b"", code, message, attempts)


async def read_job(connection: Connection, job_id: UUID, queue: str) -> Job:
    """Return a job of a queue as the current transaction sees it. Raises TaskNotFound."""
    cursor = await connection.execute(
        "SELECT " + JOB_COLUMNS + " FROM batch_jobs WHERE id = %s AND queue = %s", [job_id, queue]
    )
    row = await cursor.fetchone()
    if row is None:
        raise TaskNotFound(
            f"there is no task {job_id}: it was never created, or is past its retention"
        )
    return Job(*row)


async def _insert_job(
    connection: Connection, job_id: UUID, job: NewJob, received: ReceivedItems
) -> None:
    cursor = await connection.execute(
        "INSERT INTO batch_jobs (id, queue, state, model, version, model_digest, modality, labels,"
        " parameters, idempotency_key, request_digest, total, deadline, webhook_url, input_bytes)"
        " VALUES (%s, %s, 'queued', %s, %s, %s, %s, %s, %s, %s, %s, %s, now() + %s::interval, %s,"
        " %s)"
        " ON CONFLICT (queue, idempotency_key) DO NOTHING",
        [
            job_id, job.queue, job.model, job.version, job.model_digest, job.modality,
            Jsonb(list(job.labels)), Jsonb(job.parameters), job.idempotency_key, received.digest,
            received.total, job.deadline_after, job.webhook_url, received.size,
        ],
    )  # fmt: skip
    if not cursor.rowcount:
        raise _DuplicateKey(received.digest)


def _repeated(existing: tuple[Job, bytes], digest: bytes) -> Job:
    """Return the existing job if the repeated request is the same."""
    job, existing_digest = existing
    if digest != existing_digest:
        raise IdempotencyConflict(
            "this Idempotency-Key was used with another request: send each request with its own key"
        )
    return job
