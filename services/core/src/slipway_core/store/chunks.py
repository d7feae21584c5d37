"""Chunks as workers see them: claim, renew, complete, release.

A claim is a lease with a random token. A worker can store results only while its token is in the
row of the chunk: this fence makes results appear once, even when a worker that was presumed dead
comes back. Locks are always taken on the chunk first and on the job second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

from slipway_core.queue.contract import ring_id
from slipway_core.store.postgres.connection import (
    LONG_STATEMENT_SECONDS,
    Connection,
    set_statement_timeout,
    try_lock,
)
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Backlog, Claim, ItemResult
from slipway_core.store.results import crash_result, write_results
from slipway_core.store.splitting import (
    MAX_LOST_LEASES,
    PAUSE_AFTER_LOSSES,
    has_failed,
    plan_split,
)
from slipway_core.store.states import CHUNK_IS_OPEN, OPEN_CHUNK_STATES, state_in

_MAX_QUIET_FACTOR = 60
"""Maximum pause between rings for a chunk, as a multiple of the first pause."""
_CLAIMABLE = CHUNK_IS_OPEN + f" AND available_at <= now() - {PAUSE_AFTER_LOSSES}"
_HELD: LiteralString = (
    " WHERE job_id = %s AND chunk = %s AND lease_token = %s AND state = 'running'"
)


@dataclass(frozen=True, slots=True)
class _LockedChunk:
    job_id: UUID
    chunk: int
    first_index: int
    count: int
    attempt: int
    lost: int


class ChunkRepository:
    """The chunks of one queue. All methods raise StoreUnavailable.

    model_digest: the model whose jobs may be claimed; not needed to ring or count. max_lost_leases:
    lost leases after which a single input fails.
    """

    def __init__(
        self,
        database: Database,
        queue: str,
        model_digest: str = "",
        max_lost_leases: int = MAX_LOST_LEASES,
    ) -> None:
        self._database = database
        self._queue = queue
        self._model_digest = model_digest
        self._max_lost_leases = max_lost_leases

    async def claim(self, lease: timedelta, own_tokens: Sequence[UUID] = ()) -> Claim | None:
        """Lease the oldest chunk of this model that waits or whose lease has expired.

        own_tokens: leases that this worker holds. They are not taken again if they expired because
        the database was unavailable.

        A chunk whose workers died is split first. A single input whose computation has failed too
        often gets the result WorkerCrashed here, and the next chunk is tried. Return None when no
        chunk is left.
        """
        while True:
            async with self._database.transaction() as connection:
                chunk = await self._lock_oldest(connection, own_tokens)
                if chunk is None:
                    return None
                if chunk.count == 1 and has_failed(
                    chunk.attempt, chunk.lost, self._max_lost_leases
                ):
                    await _fail_only_input(connection, chunk)
                    continue
                sizes = plan_split(chunk.count, chunk.attempt)
                if len(sizes) > 1:
                    await self._split(connection, chunk, sizes)
                return await _lease(connection, chunk, sizes[0], lease)

    async def begin(self, claim: Claim) -> bool:
        """Count an attempt, just before the chunk is computed. Return False if the lease is lost.

        A claimed chunk that is not computed yet cannot have caused the death of its worker. The
        attempt counts as lost until the worker says how it ended.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE batch_chunks SET attempt = %s, lost = %s" + _HELD,
                [claim.attempt, claim.lost + 1, *_key(claim)],
            )
            return cursor.rowcount == 1

    async def renew(self, claim: Claim, lease: timedelta) -> bool:
        """Extend a lease. Return False if it is lost: the chunk is done, cancelled or re-leased."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE batch_chunks SET available_at = now() + %s" + _HELD, [lease, *_key(claim)]
            )
            return cursor.rowcount == 1

    async def complete(self, claim: Claim, results: Sequence[ItemResult]) -> bool:
        """Store the results of a chunk and count them in its job, in one transaction.

        Return False, and store nothing, if the lease is lost. It is safe to repeat.
        """
        async with self._database.transaction() as connection:
            # The caller repeats this while the database is unavailable. Results that exceed the
            # usual timeout would exceed it each time.
            await set_statement_timeout(connection, LONG_STATEMENT_SECONDS)
            cursor = await connection.execute(
                "UPDATE batch_chunks SET state = 'done', lease_token = NULL" + _HELD, _key(claim)
            )
            if cursor.rowcount == 0:
                return False
            await write_results(connection, claim.job_id, results)
            return True

    async def release(self, claim: Claim) -> None:
        """Return a chunk that was not computed; the attempt does not count."""
        await self._make_available(claim, claim.attempt - 1, timedelta())

    async def retry_later(self, claim: Claim, pause: timedelta) -> None:
        """Return a chunk whose computation failed on a worker that survived: its inputs explain
        that. It can be claimed again after `pause`.
        """
        await self._make_available(claim, claim.attempt, pause)

    async def reserve_rings(self, waiting: int, quiet: timedelta, limit: int) -> list[str]:
        """Return ids of rings that the queue lacks, at most `limit`, for the oldest chunks first.

        waiting: rings in the queue. quiet: the minimum pause between two rings for a chunk, which
        grows with their number, because there may be no worker left for the model of the chunk. A
        chunk that a worker returned needs no pause.
        """
        async with self._database.transaction() as connection:
            if not await try_lock(connection, f"slipway.rings.{self._queue}"):
                return []
            cursor = await connection.execute(
                "SELECT count(*) FROM (SELECT 1 FROM batch_chunks WHERE queue = %s AND "
                + _CLAIMABLE
                + " LIMIT %s) AS claimable",
                [self._queue, waiting + limit],
            )
            missing = (await _fetch_row(cursor))[0] - waiting
            if missing <= 0:
                return []
            cursor = await connection.execute(
                "UPDATE batch_chunks SET rings = rings + 1, rung_at = now()"
                " FROM (SELECT job_id AS job, chunk AS number FROM batch_chunks WHERE queue = %s"
                " AND rung_at <= now() - %s * least(rings, %s) AND "
                + _CLAIMABLE
                + " ORDER BY job_id, chunk LIMIT %s FOR UPDATE SKIP LOCKED) AS unrung"
                " WHERE job_id = job AND chunk = number RETURNING job_id, chunk, rings - 1",
                [self._queue, quiet, _MAX_QUIET_FACTOR, missing],
            )
            return [ring_id(*row) for row in await cursor.fetchall()]

    async def backlog(self) -> Backlog:
        """Return how much work the queue has."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FILTER (WHERE chunks.state = 'waiting'),"
                " count(*) FILTER (WHERE chunks.state = 'running'),"
                " coalesce(extract(epoch FROM now() - min(created_at)"
                "  FILTER (WHERE chunks.state = 'waiting')), 0)::float8"
                " FROM batch_chunks AS chunks JOIN batch_jobs ON id = job_id"
                " WHERE chunks.queue = %s AND " + state_in(OPEN_CHUNK_STATES, "chunks.state"),
                [self._queue],
            )
            return Backlog(*await _fetch_row(cursor))

    async def _make_available(self, claim: Claim, attempt: int, pause: timedelta) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE batch_chunks SET state = 'waiting', lease_token = NULL,"
                " attempt = %s, lost = %s, available_at = now() + %s, rung_at = '-infinity'"
                + _HELD,
                [attempt, claim.lost, pause, *_key(claim)],
            )

    async def _lock_oldest(
        self, connection: Connection, own_tokens: Sequence[UUID]
    ) -> _LockedChunk | None:
        cursor = await connection.execute(
            "SELECT job_id, chunk, first_index, count, attempt, lost FROM batch_chunks AS chunks"
            " WHERE queue = %s AND (lease_token IS NULL OR lease_token <> ALL(%s)) AND "
            + _CLAIMABLE
            + " AND (SELECT model_digest FROM batch_jobs WHERE id = chunks.job_id) = %s"
            " ORDER BY job_id, chunk LIMIT 1 FOR UPDATE SKIP LOCKED",
            [self._queue, list(own_tokens), self._model_digest],
        )
        row = await cursor.fetchone()
        return None if row is None else _LockedChunk(*row)

    async def _split(
        self, connection: Connection, chunk: _LockedChunk, sizes: Sequence[int]
    ) -> None:
        """Make chunks of all parts but the first, which stays with the chunk itself."""
        job_id = chunk.job_id
        # This lock guards the numbering of chunks, and makes `close_job` see the new ones.
        await connection.execute("SELECT 1 FROM batch_jobs WHERE id = %s FOR UPDATE", [job_id])
        cursor = await connection.execute(
            "SELECT max(chunk) FROM batch_chunks WHERE job_id = %s", [job_id]
        )
        number = (await _fetch_row(cursor))[0]
        first_index = chunk.first_index + sizes[0]
        rows = []
        for size in sizes[1:]:
            number += 1
            rows.append((job_id, number, self._queue, first_index, size, chunk.attempt, chunk.lost))
            first_index += size
        async with connection.cursor() as parts:
            await parts.executemany(
                "INSERT INTO batch_chunks (job_id, chunk, queue, first_index, count, attempt, lost,"
                " rung_at) VALUES (%s, %s, %s, %s, %s, %s, %s, '-infinity')",
                rows,
            )


def _key(claim: Claim) -> list[object]:
    return [claim.job_id, claim.chunk, claim.lease_token]


async def _lease(
    connection: Connection, chunk: _LockedChunk, count: int, lease: timedelta
) -> Claim:
    token = uuid4()
    await connection.execute(
        "UPDATE batch_chunks SET state = 'running', lease_token = %s,"
        " available_at = now() + %s, count = %s WHERE job_id = %s AND chunk = %s",
        [token, lease, count, chunk.job_id, chunk.chunk],
    )
    await connection.execute(
        "UPDATE batch_jobs SET state = 'running', started_at = now()"
        " WHERE id = %s AND state = 'queued'",
        [chunk.job_id],
    )
    cursor = await connection.execute(
        "SELECT modality, labels, parameters FROM batch_jobs WHERE id = %s", [chunk.job_id]
    )
    modality, labels, parameters = await _fetch_row(cursor)
    cursor = await connection.execute(
        "SELECT input FROM batch_items WHERE job_id = %s AND idx >= %s AND idx < %s ORDER BY idx",
        [chunk.job_id, chunk.first_index, chunk.first_index + count],
    )
    return Claim(
        job_id=chunk.job_id,
        chunk=chunk.chunk,
        first_index=chunk.first_index,
        attempt=chunk.attempt + 1,
        lost=chunk.lost,
        lease_token=token,
        modality=modality,
        labels=tuple(labels),
        parameters=parameters,
        inputs=[value for (value,) in await cursor.fetchall()],
    )


async def _fail_only_input(connection: Connection, chunk: _LockedChunk) -> None:
    """Complete a chunk of one input with the error WorkerCrashed."""
    await connection.execute(
        "UPDATE batch_chunks SET state = 'done', lease_token = NULL"
        " WHERE job_id = %s AND chunk = %s",
        [chunk.job_id, chunk.chunk],
    )
    failure = crash_result(chunk.first_index, chunk.attempt, chunk.lost)
    await write_results(connection, chunk.job_id, [failure])


async def _fetch_row(cursor: Any) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await cursor.fetchone()
    if row is None:
        raise LookupError("the query returned no row")
    return row
