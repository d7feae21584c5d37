"""The pool of connections to PostgreSQL, bounded in size and in time, which reconnects by itself.

Nothing outside the store sees an error of the driver: a lost connection, a full pool and a
statement that timed out are all StoreUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Self

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from slipway_core.errors import InvalidSettings, SchemaMismatch, StoreUnavailable
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.connection import (
    CONNECT_TIMEOUT_SECONDS,
    Connection,
    configure_connection,
    connection_options,
    is_postgres_url,
)
from slipway_core.tasks import is_being_cancelled

PING_TIMEOUT_SECONDS = 2
RECONNECT_SECONDS = 5
"""Time after which the pool stops its attempts to connect, until the next request. The pause
between attempts doubles, so its maximum is about half of this.
"""
MAX_WAITING_REQUESTS = 1_000
_INVALID_URL = "SLIPWAY_DATABASE_URL must look like postgresql://user:password@host:5432/database"

_UNAVAILABLE = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    PoolTimeout,
    PoolClosed,
)
_MISMATCHES = (
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
    psycopg.errors.InsufficientPrivilege,
)
"""Errors of a database that was not migrated, or is migrated for another role or release."""


class Database:
    """The connections of one process to PostgreSQL."""

    def __init__(self, pool: AsyncConnectionPool[Connection], timeout_seconds: float) -> None:
        self._pool = pool
        self.pool_size = pool.max_size
        self.timeout_seconds = timeout_seconds

    @classmethod
    async def open(cls, settings: ServiceSettings) -> Self:
        """Connect in the background; this succeeds while PostgreSQL is unavailable.

        Raises InvalidSettings when `database_url` is empty or malformed.
        """
        if not settings.database_url.get_secret_value():
            raise InvalidSettings("SLIPWAY_DATABASE_URL is empty: set it to postgresql://...")
        if not is_postgres_url(settings.database_url.get_secret_value()):
            raise InvalidSettings(_INVALID_URL)
        pool = _create_pool(settings)
        await pool.open()
        return cls(pool, settings.database_timeout_seconds)

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """Lend a connection in a transaction: committed at the end, rolled back on an exception.

        Raises StoreUnavailable when no connection is free within `timeout` seconds, or when
        PostgreSQL becomes unavailable or read-only; its subclass SchemaMismatch when the tables or
        rights of this release are missing. A transaction may be committed although its
        confirmation was lost: callers must be able to repeat it.
        """
        try:
            async with self._pool.connection(timeout) as connection, connection.transaction():
                yield connection
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            if is_being_cancelled():
                # The driver cancels the statement and raises an error for it.
                raise asyncio.CancelledError from error
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                # This node was demoted but still answers: reconnect all to the new primary.
                await self._pool.drain()
            translated = translate_error(error)
            if translated is None:
                raise
            raise translated from error

    async def ping(self) -> None:
        """Raise StoreUnavailable unless PostgreSQL answers within PING_TIMEOUT_SECONDS, and may be
        written to.
        """
        async with self.transaction(PING_TIMEOUT_SECONDS) as connection:
            cursor = await connection.execute("SHOW transaction_read_only")
            if await cursor.fetchone() != ("off",):
                raise psycopg.errors.ReadOnlySqlTransaction

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.close()


def _create_pool(settings: ServiceSettings) -> AsyncConnectionPool[Connection]:
    """Return a closed pool whose connections read the URL anew, with its current password."""

    def current_url() -> str:
        url = settings.reload_secret("database_url")
        if not is_postgres_url(url):  # the driver would log the reason, and a password with it
            raise psycopg.OperationalError(_INVALID_URL)
        return url

    async def check(connection: Connection) -> None:
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await AsyncConnectionPool.check_connection(connection)
        except Exception:
            # The server restarted: all other idle connections are lost too.
            await pool.drain()
            raise

    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        current_url,
        # Transactions are begun explicitly. Without autocommit, the cancelled check of an idle
        # connection could leave it committing each statement by itself.
        kwargs={**connection_options(), "autocommit": True},
        min_size=1,
        max_size=settings.database_pool_size,
        timeout=settings.database_timeout_seconds,
        reconnect_timeout=RECONNECT_SECONDS,
        configure=partial(
            configure_connection, statement_timeout_seconds=settings.database_timeout_seconds
        ),
        check=check,
        max_waiting=MAX_WAITING_REQUESTS,
        name="slipway",
        open=False,
    )
    return pool


def translate_error(error: Exception) -> StoreUnavailable | None:
    """Return the error for users; None for one that only the statement itself explains."""
    kind = type(error).__name__
    if isinstance(error, psycopg.errors.DiskFull):
        message = "the disk of the database is full: free some space, or enlarge it"
    elif isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        message = "the database is read-only: wait for its failover, or connect to its primary"
    elif isinstance(error, _UNAVAILABLE):
        message = f"the database does not answer ({kind}): try again in a moment"
    elif isinstance(error, _MISMATCHES):
        return SchemaMismatch(
            f"the database lacks tables of this release, or its role rights on them ({kind}): run "
            "`python -m slipway_core.store.schema.migrate` as their owner",
            retry_after_seconds=5,
        )
    elif isinstance(error, psycopg.errors.CheckViolation) and not error.diag.constraint_name:
        message = (
            "the database has no partition for the month of this row: maintenance creates one each "
            "hour; if this goes on, correct the clock of this machine"
        )
    else:
        return None
    return StoreUnavailable(message, retry_after_seconds=5)
