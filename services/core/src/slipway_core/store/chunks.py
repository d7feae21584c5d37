"""Chunks as workers see them: claim, renew, complete, give back.

A claim is a lease with a random token. Whoever writes results must still hold the token: the row
of the chunk is the fence, so results are written once even when a worker that was thought dead
comes back. Locks are always taken chunk first, job second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, LiteralString
from uuid import UUID, uuid4

from slipway_core.errors import WorkerCrashed
from slipway_core.queue.contract import ring_id
from slipway_core.store.postgres.database import (
    LONG_STATEMENT_SECONDS,
    Connection,
    Database,
    allow_seconds,
    try_lock,
)
from slipway_core.store.records import Backlog, Claim, ItemResult
from slipway_core.store.results import write_results
from slipway_core.store.splitting import LAST_ATTEMPT, plan_split

# Five minutes between the rings for a chunk that nobody wants, when the first time is five seconds.
_MOST_PATIENCE = 60
_CLAIMABLE: LiteralString = "state IN ('waiting', 'running') AND available_at <= now()"


@dataclass(frozen=True, slots=True)
class _Found:
    job_id: UUID
    chunk: int
    first_index: int
    count: int
    attempt: int


class ChunkRepository:
    """The chunks of one deployment's queue. All methods raise StoreUnavailable.

    model_digest: the model whose jobs may be claimed; who only rings and counts needs none.
    """

    def __init__(self, database: Database, queue: str, model_digest: str = "") -> None:
        self._database = database
        self._queue = queue
        self._model_digest = model_digest

    async def claim(self, lease: timedelta, holding: Sequence[UUID] = ()) -> Claim | None:
        """Take the oldest chunk of this model that waits or whose lease is over, or None.

        holding: tokens of this worker's own leases, which it must not take again when one of them
        ran out because the database was away.

        A chunk that workers died of is first split; an input that they died of alone is given its
        result here, WorkerCrashed, and the next chunk is looked at.
        """
        while True:
            async with self._database.transaction() as connection:
                found = await self._lock_oldest(connection, holding)
                if found is None:
                    return None
                if found.count == 1 and found.attempt >= LAST_ATTEMPT:
                    await _give_up(connection, found)
                    continue
                sizes = plan_split(found.count, found.attempt)
                if len(sizes) > 1:
                    await self._split(connection, found, sizes)
                return await _lease(connection, found, sizes[0], lease)

    async def begin(self, claim: Claim) -> bool:
        """Count an attempt, just before the chunk is computed; False when the lease was lost.

        A worker that dies takes down what it computed, not what it only held.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE batch_chunks SET attempt = %s" + _HELD, [claim.attempt, *_key(claim)]
            )
            return cursor.rowcount == 1

    async def renew(self, claim: Claim, lease: timedelta) -> bool:
        """Prolong a lease; False when it was lost: the chunk is another's, done or cancelled."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE batch_chunks SET available_at = now() + %s" + _HELD, [lease, *_key(claim)]
            )
            return cursor.rowcount == 1

    async def complete(self, claim: Claim, results: Sequence[ItemResult]) -> bool:
        """Write the results of a chunk and count them in its job, in one transaction.

        False, and nothing is written, when the lease was lost. May be repeated.
        """
        async with self._database.transaction() as connection:
            # Results that take long to write would take as long the next time: whoever repeats
            # this for as long as the database is away would do so for ever.
            await allow_seconds(connection, LONG_STATEMENT_SECONDS)
            cursor = await connection.execute(
                "UPDATE batch_chunks SET state = 'done', lease_token = NULL" + _HELD, _key(claim)
            )
            if cursor.rowcount == 0:
                return False
            await write_results(connection, claim.job_id, results)
            return True

    async def release(self, claim: Claim) -> None:
        """Give a chunk back untouched; this attempt does not count."""
        await self._return(claim, claim.attempt - 1, timedelta())

    async def abandon(self, claim: Claim, pause: timedelta) -> None:
        """Give a chunk back after it failed as a whole; it is tried again after `pause`."""
        await self._return(claim, claim.attempt, pause)

    async def take_rings(self, waiting: int, quiet: timedelta, limit: int) -> list[str]:
        """Rings for claimable chunks that the queue lacks, at most `limit`, oldest chunks first.

        waiting: rings that the queue has. quiet: time after its first ring before a chunk may be
        announced again; it grows with every ring, because nobody may be left who serves the
        chunk's model. What was given back is announced at once.
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
            missing = (await _one(cursor))[0] - waiting
            if missing <= 0:
                return []
            cursor = await connection.execute(
                "UPDATE batch_chunks SET rings = rings + 1, rung_at = now()"
                " FROM (SELECT job_id AS job, chunk AS number FROM batch_chunks WHERE queue = %s"
                " AND rung_at <= now() - %s * least(rings, %s) AND "
                + _CLAIMABLE
                + " ORDER BY job_id, chunk LIMIT %s FOR UPDATE SKIP LOCKED) AS unrung"
                " WHERE job_id = job AND chunk = number RETURNING job_id, chunk, rings - 1",
                [self._queue, quiet, _MOST_PATIENCE, missing],
            )
            return [ring_id(*found) for found in await cursor.fetchall()]

    async def backlog(self) -> Backlog:
        """What this queue has to do."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FILTER (WHERE chunks.state = 'waiting'),"
                " count(*) FILTER (WHERE chunks.state = 'running'),"
                " coalesce(extract(epoch FROM now() - min(created_at)"
                "  FILTER (WHERE chunks.state = 'waiting')), 0)::float8"
                " FROM batch_chunks AS chunks JOIN batch_jobs ON id = job_id"
                " WHERE chunks.queue = %s AND chunks.state IN ('waiting', 'running')",
                [self._queue],
            )
            return Backlog(*await _one(cursor))

    async def _return(self, claim: Claim, attempt: int, pause: timedelta) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE batch_chunks SET state = 'waiting', lease_token = NULL,"
                " attempt = %s, available_at = now() + %s, rung_at = '-infinity'" + _HELD,
                [attempt, pause, *_key(claim)],
            )

    async def _lock_oldest(self, connection: Connection, holding: Sequence[UUID]) -> _Found | None:
        cursor = await connection.execute(
            "SELECT job_id, chunk, first_index, count, attempt FROM batch_chunks AS chunks"
            " WHERE queue = %s AND (lease_token IS NULL OR lease_token <> ALL(%s)) AND "
            + _CLAIMABLE
            + " AND (SELECT model_digest FROM batch_jobs WHERE id = chunks.job_id) = %s"
            " ORDER BY job_id, chunk LIMIT 1 FOR UPDATE SKIP LOCKED",
            [self._queue, list(holding), self._model_digest],
        )
        found = await cursor.fetchone()
        return None if found is None else _Found(*found)

    async def _split(self, connection: Connection, found: _Found, sizes: Sequence[int]) -> None:
        """Make chunks of all parts but the first, which stays with the chunk itself."""
        # The job's row guards the numbers of its chunks, and tells a cancellation to look again.
        cursor = await connection.execute(
            "SELECT 1 FROM batch_jobs WHERE id = %s FOR UPDATE", [found.job_id]
        )
        cursor = await connection.execute(
            "SELECT max(chunk) FROM batch_chunks WHERE job_id = %s", [found.job_id]
        )
        number = (await _one(cursor))[0]
        first_index = found.first_index + sizes[0]
        rows = []
        for size in sizes[1:]:
            number += 1
            rows.append((found.job_id, number, self._queue, first_index, size, found.attempt))
            first_index += size
        async with connection.cursor() as parts:
            await parts.executemany(
                "INSERT INTO batch_chunks (job_id, chunk, queue, first_index, count, attempt,"
                " rung_at) VALUES (%s, %s, %s, %s, %s, %s, '-infinity')",
                rows,
            )


_HELD: LiteralString = (
    " WHERE job_id = %s AND chunk = %s AND lease_token = %s AND state = 'running'"
)


def _key(claim: Claim) -> list[object]:
    return [claim.job_id, claim.chunk, claim.lease_token]


async def _lease(connection: Connection, found: _Found, count: int, lease: timedelta) -> Claim:
    token = uuid4()
    await connection.execute(
        "UPDATE batch_chunks SET state = 'running', lease_token = %s,"
        " available_at = now() + %s, count = %s WHERE job_id = %s AND chunk = %s",
        [token, lease, count, found.job_id, found.chunk],
    )
    await connection.execute(
        "UPDATE batch_jobs SET state = 'running', started_at = now()"
        " WHERE id = %s AND state = 'queued'",
        [found.job_id],
    )
    cursor = await connection.execute(
        "SELECT modality, labels, parameters FROM batch_jobs WHERE id = %s", [found.job_id]
    )
    modality, labels, parameters = await _one(cursor)
    cursor = await connection.execute(
        "SELECT input FROM batch_items WHERE job_id = %s AND idx >= %s AND idx < %s ORDER BY idx",
        [found.job_id, found.first_index, found.first_index + count],
    )
    return Claim(
        job_id=found.job_id,
        chunk=found.chunk,
        first_index=found.first_index,
        attempt=found.attempt + 1,
        lease_token=token,
        modality=modality,
        labels=tuple(labels),
        parameters=parameters,
        inputs=[value for (value,) in await cursor.fetchall()],
    )


async def _give_up(connection: Connection, found: _Found) -> None:
    await connection.execute(
        "UPDATE batch_chunks SET state = 'done', lease_token = NULL"
        " WHERE job_id = %s AND chunk = %s",
        [found.job_id, found.chunk],
    )
    failure = ItemResult(
        index=found.first_index,
        prediction=None,
        embedding=b"",
        error_code=WorkerCrashed.__name__,
        error_message=(
            f"computing this input failed {found.attempt} times, the last time alone: the worker "
            "died or took too long. Make the input smaller, or give the workers more memory or time"
        ),
        attempts=found.attempt,
    )
    await write_results(connection, found.job_id, [failure])


async def _one(cursor: Any) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = await cursor.fetchone()
    if row is None:
        raise LookupError("the database gave no row where there is always one")
    return row
