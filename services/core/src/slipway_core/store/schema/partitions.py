"""Monthly partitions: made ahead, dropped when all of a month is older than the retention.

There is no DEFAULT partition. Rows in one could not be dropped by the month, and every new
partition would have to scan it first. Instead partitions exist for this month and the next three,
made by the migration and, hourly, by the sweeper: a platform can be off for a quarter and finds
its partitions made within seconds of its start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import structlog
from psycopg import sql

from slipway_core.identifiers import first_uuid7
from slipway_core.store.postgres.database import (
    LONG_STATEMENT_SECONDS,
    Connection,
    Database,
    allow_seconds,
    try_lock,
)
from slipway_core.store.predictions import COLUMNS as PREDICTION_COLUMNS

log = structlog.get_logger("slipway.store")

MONTHS_AHEAD = 3
# Longest wait for a lock: a partition that cannot be made or dropped now is tried again later.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
# Few, because with them go their chunks, of which each may have thousands.
_JOBS_AT_ONCE = 100
_MOST_DELETIONS = 1_000


@dataclass(frozen=True)
class Month:
    """One calendar month in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        moment = moment.astimezone(UTC)
        return cls(moment.year, moment.month)

    @property
    def start(self) -> datetime:
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    def plus(self, months: int) -> Month:
        count = self.year * 12 + self.number - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def suffix(self) -> str:
        """How a partition of this month ends: sorted like the months themselves."""
        return f"_{self.year:04d}_{self.number:02d}"


def _by_time(month: Month) -> str:
    return month.start.isoformat()


def _by_id(month: Month) -> str:
    return str(first_uuid7(month.start))


PARTITIONED: dict[str, Callable[[Month], str]] = {
    "predictions": _by_time,
    "batch_items": _by_id,
    "batch_results": _by_id,
}
"""The partitioned tables, each with the bound that begins a month."""

_NO_STATISTICS, _FEW_STATISTICS = 0, 10
_STATISTICS = {
    "predictions": {
        **dict.fromkeys(PREDICTION_COLUMNS, _FEW_STATISTICS),
        **dict.fromkeys(("input", "prediction", "embedding"), _NO_STATISTICS),
    },
    "batch_items": {"input": _NO_STATISTICS},
    "batch_results": dict.fromkeys(("prediction", "embedding"), _NO_STATISTICS),
}
"""What PostgreSQL keeps of a column, where that is not the usual. No query chooses by a payload,
whose statistics would cost a second and more each time that a partition has grown by a tenth, which
is when there is most to do. The log is read by its keys, so few samples are enough: each of the
usual 30,000 is a page to read. Partitions that were made before this keep theirs.
"""

PARTITION_NAMES: LiteralString = """
    SELECT child.relname FROM pg_inherits
      JOIN pg_class child ON child.oid = inhrelid
      JOIN pg_class parent ON parent.oid = inhparent
     WHERE parent.relname = ANY(%s) AND parent.relnamespace = current_schema()::regnamespace
     ORDER BY 1
"""
"""Every partition of the tables that are given."""


def create_statements(existing: Collection[str], now: datetime) -> list[sql.Composed]:
    """What makes the partitions of this and the coming months that are not among `existing`.

    Each is made beside its table and then attached: that locks nobody out of the table.
    """
    statements = []
    for table, bound in PARTITIONED.items():
        for month in (Month.of(now).plus(ahead) for ahead in range(MONTHS_AHEAD + 1)):
            if table + month.suffix in existing:
                continue
            parent, partition = sql.Identifier(table), sql.Identifier(table + month.suffix)
            statements += [
                sql.SQL(
                    "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
                ).format(partition, parent),
                sql.SQL("ALTER TABLE {} {}").format(
                    partition,
                    sql.SQL(", ").join(
                        sql.SQL("ALTER COLUMN {} SET STATISTICS {}").format(
                            sql.Identifier(column), sql.Literal(target)
                        )
                        for column, target in _STATISTICS[table].items()
                    ),
                ),
                sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})").format(
                    parent, partition, bound(month), bound(month.plus(1))
                ),
            ]
    return statements


async def create_partitions(connection: Connection, now: datetime) -> None:
    """Make the partitions of this and the coming months that are missing."""
    await connection.execute(_LOCK_TIMEOUT)
    cursor = await connection.execute(PARTITION_NAMES, [list(PARTITIONED)])
    existing = {name for (name,) in await cursor.fetchall()}
    for statement in create_statements(existing, now):
        await connection.execute(statement)


async def drop_partitions(connection: Connection, now: datetime, retention: timedelta) -> list[str]:
    """Drop the months of which every row is older than `retention`.

    Returns the names of what was dropped.
    """
    await connection.execute(_LOCK_TIMEOUT)
    oldest_kept = Month.of(now - retention)
    dropped = []
    cursor = await connection.execute(PARTITION_NAMES, [list(PARTITIONED)])
    for (name,) in await cursor.fetchall():
        table = next(table for table in PARTITIONED if name.startswith(table + "_"))
        if name < table + oldest_kept.suffix:
            await connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
            dropped.append(name)
    return dropped


async def delete_jobs(connection: Connection, now: datetime, retention: timedelta) -> int:
    """Delete jobs of dropped months, at most 100 at once; returns how many."""
    await allow_seconds(connection, LONG_STATEMENT_SECONDS)
    cursor = await connection.execute(
        "DELETE FROM batch_jobs WHERE id IN (SELECT id FROM batch_jobs WHERE id < %s LIMIT %s)",
        [first_uuid7(Month.of(now - retention).start), _JOBS_AT_ONCE],
    )
    return cursor.rowcount


async def maintain_partitions(database: Database, now: datetime, retention: timedelta) -> None:
    """Make what is missing and drop what is past its retention, unless another process does.

    Each step is a transaction, so that one that fails undoes no other.
    Raises StoreUnavailable.
    """
    async with _alone(database) as connection:
        if connection is not None:
            await create_partitions(connection, now)
    async with _alone(database) as connection:
        dropped = [] if connection is None else await drop_partitions(connection, now, retention)
    if dropped:
        log.info("dropped partitions past their retention", partitions=dropped)
    for _ in range(_MOST_DELETIONS):
        async with _alone(database) as connection:
            if connection is None or await delete_jobs(connection, now, retention) < _JOBS_AT_ONCE:
                return


@asynccontextmanager
async def _alone(database: Database) -> AsyncIterator[Connection | None]:
    """A transaction that no other process has at the same time; None when one has it."""
    async with database.transaction() as connection:
        yield connection if await try_lock(connection, "slipway.partitions") else None
