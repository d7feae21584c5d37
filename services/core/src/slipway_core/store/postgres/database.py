"""The pool of connections to PostgreSQL: bounded in size and in time, and back by itself.

Nothing outside the store sees a driver's error: a lost connection, a full pool and a statement
that ran out of time are all StoreUnavailable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from slipway_core.errors import InvalidSettings, StoreUnavailable
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.float_array import REAL_ARRAY_OID, decode_float_array
from slipway_core.store.postgres.jsonb import read_json
from slipway_core.tasks import is_being_cancelled

Connection = AsyncConnection[tuple[Any, ...]]

CONNECT_TIMEOUT_SECONDS = 5
PING_TIMEOUT_SECONDS = 2
IDLE_TRANSACTION_SECONDS = 60
# The pool doubles its pause between attempts to connect until this time is over, and begins anew
# with the next request: so the longest pause is about half of it.
RECONNECT_SECONDS = 5
LONG_STATEMENT_SECONDS = 120
"""For statements that grow with the size of a job. Not more: a statement of a machine that fell
silent may hold its locks as long.
"""
_WRONG_ADDRESS = "SLIPWAY_DATABASE_URL must look like postgresql://user:password@host:5432/database"

_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.ReadOnlySqlTransaction,
    PoolTimeout,
    PoolClosed,
)


class FloatArrayLoader(Loader):
    """Gives a `real[]` as little-endian float32 bytes."""

    format = Format.BINARY

    def load(self, data: Any) -> bytes:
        return decode_float_array(bytes(data))


class Database:
    """One process's connections to PostgreSQL."""

    def __init__(self, pool: AsyncConnectionPool[Connection], timeout_seconds: float) -> None:
        self._pool = pool
        self.pool_size = pool.max_size
        self.timeout_seconds = timeout_seconds

    @classmethod
    async def open(cls, settings: ServiceSettings) -> Self:
        """Start connecting in the background; succeeds while PostgreSQL is away.

        Raises InvalidSettings when `database_url` is empty or not an address of PostgreSQL.
        """
        if not settings.database_url.get_secret_value():
            raise InvalidSettings("SLIPWAY_DATABASE_URL is empty: set it to postgresql://...")
        if not _is_address(settings.database_url.get_secret_value()):
            raise InvalidSettings(_WRONG_ADDRESS)

        def read_address() -> str:
            address = settings.reload_secret("database_url")
            if not _is_address(address):  # the driver would log why, and a password with it
                raise psycopg.OperationalError(_WRONG_ADDRESS)
            return address

        async def check(connection: Connection) -> None:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    await AsyncConnectionPool.check_connection(connection)
            except Exception:
                # The server went away, so the other idle connections are as dead as this one.
                await pool.drain()
                raise

        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            read_address,
            # Transactions are begun explicitly. Were it left to the driver, a check of an idle
            # connection that is cancelled could leave it committing every statement by itself.
            kwargs={**connection_options(settings.database_timeout_seconds), "autocommit": True},
            min_size=1,
            max_size=settings.database_pool_size,
            timeout=settings.database_timeout_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            configure=_configure,
            check=check,
            max_waiting=1000,
            name="slipway",
            open=False,
        )
        await pool.open()
        return cls(pool, settings.database_timeout_seconds)

    @asynccontextmanager
    async def transaction(self, timeout: float | None = None) -> AsyncIterator[Connection]:
        """A connection in a transaction that is committed at the end, rolled back on an error.

        Raises StoreUnavailable when no connection is free within `timeout` seconds, or PostgreSQL
        goes away or takes no writes. A commit whose answer is lost may have happened: callers must
        be able to repeat.
        """
        try:
            async with self._pool.connection(timeout) as connection, connection.transaction():
                yield connection
        except (psycopg.Error, PoolTimeout, PoolClosed) as error:
            if is_being_cancelled():
                # The driver cancels the statement and reports that; the caller wanted to stop.
                raise asyncio.CancelledError from error
            if not isinstance(error, _AWAY):
                raise
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                # Another node took over and this one serves on, so every connection answers, and
                # none can write: new ones go to the node that can.
                await self._pool.drain()
            raise StoreUnavailable(
                f"the database does not answer ({type(error).__name__}): try again in a moment",
                retry_after_seconds=5,
            ) from error

    async def ping(self) -> None:
        """Raises StoreUnavailable when PostgreSQL does not answer within two seconds."""
        async with self.transaction(PING_TIMEOUT_SECONDS) as connection:
            await connection.execute("SELECT 1")

    async def close(self) -> None:
        """Give back all connections."""
        await self._pool.close()


async def try_lock(connection: Connection, name: str) -> bool:
    """Take the advisory lock `name` until the transaction ends; False when another has it."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [name])
    return await cursor.fetchone() == (True,)


async def allow_seconds(connection: Connection, seconds: float) -> None:
    """How long each statement may take until the transaction ends, instead of the usual time."""
    await connection.execute(
        "SELECT set_config('statement_timeout', %s, true)", [f"{int(seconds * 1000)}ms"]
    )


def connection_options(timeout_seconds: float) -> dict[str, Any]:
    """What every connection of a service is opened with."""
    milliseconds = int(timeout_seconds * 1000)
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "slipway",
        # After a failover the name of the server may still lead to the node that was demoted.
        "target_session_attrs": "read-write",
        "options": (
            f"-c statement_timeout={milliseconds} -c TimeZone=UTC"
            f" -c idle_in_transaction_session_timeout={IDLE_TRANSACTION_SECONDS}s"
        ),
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # Prepared statements do not survive a pooler in transaction mode.
        "prepare_threshold": None,
    }


def _is_address(address: str) -> bool:
    try:
        psycopg.conninfo.conninfo_to_dict(address)
    except psycopg.ProgrammingError:
        return False
    return True


async def _configure(connection: Connection) -> None:
    connection.adapters.register_loader(REAL_ARRAY_OID, FloatArrayLoader)
    set_json_loads(read_json, connection)
