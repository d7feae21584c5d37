"""Monthly partitions: created ahead, and dropped when a whole month is older than the retention.

There is no DEFAULT partition: its rows could not be dropped by month, and each new partition would
have to scan it first. Instead the migration and, hourly, the sweeper create the partitions of this
month and the next three. After a longer downtime they are created within seconds of the start.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import structlog
from psycopg import sql

from slipway_core.store.identifiers import first_uuid7
from slipway_core.store.postgres.connection import (
    LONG_STATEMENT_SECONDS,
    Connection,
    set_statement_timeout,
    try_lock,
)
from slipway_core.store.postgres.database import Database
from slipway_core.store.predictions import COLUMNS as PREDICTION_COLUMNS

log = structlog.get_logger("slipway.store")

MONTHS_AHEAD = 3
# A partition that cannot be locked in time is retried later.
_SET_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '2s'"
# Few jobs, because each may have thousands of chunks, which are deleted with it.
_JOBS_PER_DELETION = 100
_MAX_DELETIONS = 1_000


@dataclass(frozen=True)
class Month:
    """A calendar month in UTC."""

    year: int
    number: int

    @classmethod
    def of(cls, moment: datetime) -> Month:
        """Return the month of `moment`, which must have a time zone."""
        moment = moment.astimezone(UTC)
        return cls(moment.year, moment.month)

    @property
    def start(self) -> datetime:
        """The first moment of the month."""
        return datetime(self.year, self.number, 1, tzinfo=UTC)

    def plus(self, months: int) -> Month:
        """Return the month that is `months` later, or earlier if negative."""
        count = self.year * 12 + self.number - 1 + months
        return Month(count // 12, count % 12 + 1)

    @property
    def suffix(self) -> str:
        """The end of the names of this month's partitions; they sort like the months."""
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
"""The partitioned tables, each with a function that returns the lower bound of a month."""

_NO_STATISTICS, _FEW_STATISTICS = 0, 10
_STATISTICS = {
    "predictions": {
        **dict.fromkeys(("deployment", *PREDICTION_COLUMNS), _FEW_STATISTICS),
        **dict.fromkeys(("input", "prediction", "embedding"), _NO_STATISTICS),
    },
    "batch_items": {"input": _NO_STATISTICS},
    "batch_results": dict.fromkeys(("prediction", "embedding"), _NO_STATISTICS),
}
"""Statistics targets of columns that differ from the default.

No query selects by a payload, and its statistics would take a second or more whenever a partition
has grown by a tenth, which is when the load is highest. The log is read by its keys, so few samples
are enough; by default there are 30,000, each of which reads a page. Existing partitions keep their
targets.
"""

PARTITION_NAMES: LiteralString = """
    SELECT child.relname FROM pg_inherits
      JOIN pg_class child ON child.oid = inhrelid
      JOIN pg_class parent ON parent.oid = inhparent
     WHERE parent.relname = ANY(%s) AND parent.relnamespace = current_schema()::regnamespace
     ORDER BY 1
"""
"""Query for the names of all partitions of a list of tables, in order."""


def create_statements(existing: Collection[str], now: datetime) -> list[sql.Composed]:
    """Return the statements that create the partitions of this and the next months.

    existing: names of partitions to leave out. A partition is created detached and then attached,
    which does not lock the table.
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
    """Create the missing partitions of this and the next months."""
    await connection.execute(_SET_LOCK_TIMEOUT)
    cursor = await connection.execute(PARTITION_NAMES, [list(PARTITIONED)])
    existing = {name for (name,) in await cursor.fetchall()}
    for statement in create_statements(existing, now):
        await connection.execute(statement)


async def drop_partitions(connection: Connection, now: datetime, retention: timedelta) -> list[str]:
    """Drop the partitions whose rows are all older than `retention`, and return their names."""
    await connection.execute(_SET_LOCK_TIMEOUT)
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
    """Delete at most _JOBS_PER_DELETION jobs of dropped months, and return how many."""
    await set_statement_timeout(connection, LONG_STATEMENT_SECONDS)
    cursor = await connection.execute(
        "DELETE FROM batch_jobs WHERE id IN (SELECT id FROM batch_jobs WHERE id < %s LIMIT %s)",
        [first_uuid7(Month.of(now - retention).start), _JOBS_PER_DELETION],
    )
    return cursor.rowcount


async def maintain_partitions(database: Database, now: datetime, retention: timedelta) -> None:
    """Create missing partitions and drop expired ones, unless another process is doing so.

    Each step has its own transaction, so that a failed step does not undo the others. Raises
    StoreUnavailable.
    """
    async with _exclusive_transaction(database) as connection:
        if connection is not None:
            await create_partitions(connection, now)
    async with _exclusive_transaction(database) as connection:
        dropped = [] if connection is None else await drop_partitions(connection, now, retention)
    if dropped:
        log.info("dropped partitions past their retention", partitions=dropped)
    for _ in range(_MAX_DELETIONS):
        async with _exclusive_transaction(database) as connection:
            if connection is None:
                return
            if await delete_jobs(connection, now, retention) < _JOBS_PER_DELETION:
                return


@asynccontextmanager
async def _exclusive_transaction(database: Database) -> AsyncIterator[Connection | None]:
    """Begin a transaction that one process has at a time; yield None if another has it."""
    async with database.transaction() as connection:
        yield connection if await try_lock(connection, "slipway.partitions") else None
