"""Monthly partitions: created ahead, and dropped when a whole month is older than the retention.

There is no DEFAULT partition: its rows could not be dropped by month, and each new partition would
have to scan it first. Instead the migration and, hourly, the sweeper create the partitions of this
month and the next three. After a longer downtime they are created within seconds of the start.

Functions in the database do both, by its own clock and with the rights of the tables' owner
(migration 0004): the services may change rows and no tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from slipway_core.store.identifiers import first_uuid7
from slipway_core.store.postgres.connection import (
    LONG_STATEMENT_SECONDS,
    Connection,
    read_time,
    set_statement_timeout,
    try_lock,
)
from slipway_core.store.postgres.database import Database

log = structlog.get_logger("slipway.store")

# Few jobs, because each may have thousands of chunks, which are deleted with it.
_JOBS_PER_DELETION = 100
_MAX_DELETIONS = 1_000


def start_of_month(moment: datetime) -> datetime:
    """Return the first moment, in UTC, of the month of `moment`, which must have a time zone."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


async def maintain_partitions(database: Database, retention: timedelta) -> None:
    """Create missing partitions and drop expired ones, unless another process is doing so.

    Each step has its own transaction, so that a failed step does not undo the others. Raises
    StoreUnavailable.
    """
    async with _exclusive_transaction(database) as connection:
        if connection is not None:
            await connection.execute("SELECT slipway_create_partitions()")
    async with _exclusive_transaction(database) as connection:
        dropped = [] if connection is None else await _drop_partitions(connection, retention)
    if dropped:
        log.info("dropped partitions past their retention", partitions=dropped)
    for _ in range(_MAX_DELETIONS):
        async with _exclusive_transaction(database) as connection:
            if connection is None:
                return
            if await _delete_jobs(connection, retention) < _JOBS_PER_DELETION:
                return


async def _drop_partitions(connection: Connection, retention: timedelta) -> list[str]:
    """Drop the partitions whose rows are all older than `retention`, and return their names."""
    cursor = await connection.execute("SELECT slipway_drop_partitions(%s)", [retention])
    return [name for (name,) in await cursor.fetchall()]


async def _delete_jobs(connection: Connection, retention: timedelta) -> int:
    """Delete at most _JOBS_PER_DELETION jobs of dropped months, and return how many."""
    await set_statement_timeout(connection, LONG_STATEMENT_SECONDS)
    oldest = await read_time(connection) - retention
    cursor = await connection.execute(
        "DELETE FROM batch_jobs WHERE id IN (SELECT id FROM batch_jobs WHERE id < %s LIMIT %s)",
        [first_uuid7(start_of_month(oldest)), _JOBS_PER_DELETION],
    )
    return cursor.rowcount


@asynccontextmanager
async def _exclusive_transaction(database: Database) -> AsyncIterator[Connection | None]:
    """Begin a transaction that one process has at a time; yield None if another has it."""
    async with database.transaction() as connection:
        yield connection if await try_lock(connection, "slipway.partitions") else None
