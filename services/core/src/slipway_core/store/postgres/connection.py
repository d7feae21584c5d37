"""Options and helpers of a single connection to PostgreSQL."""

from __future__ import annotations

from datetime import datetime
from typing import Any, LiteralString, cast

import psycopg
from psycopg import AsyncConnection
from psycopg.adapt import Loader
from psycopg.pq import Format
from psycopg.types.json import set_json_loads

from slipway_core.store.postgres.float_array import REAL_ARRAY_OID, decode_float_array
from slipway_core.store.postgres.jsonb import read_json

Connection = AsyncConnection[tuple[Any, ...]]

CONNECT_TIMEOUT_SECONDS = 5
IDLE_TRANSACTION_SECONDS = 60
LONG_STATEMENT_SECONDS = 120
"""Timeout of statements that grow with the size of a job, in seconds. A statement of a machine that
disappeared may hold its locks for as long, so it must stay short.
"""


_SESSION = {
    # Others make the driver unable to read times, intervals, numbers or text.
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    # Claims skip what others have locked. At a higher level they would fail instead.
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_SECONDS}s",
}


def connection_options() -> dict[str, Any]:
    """Return the options that every connection of a service is opened with.

    Settings of the session are made afterwards, by `session_settings`: poolers refuse the startup
    option `options`, and that of the URL would be lost.
    """
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "application_name": "slipway",
        # After a failover the host name may still resolve to the demoted node.
        "target_session_attrs": "read-write",
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
        # Prepared statements do not survive a pooler in transaction mode.
        "prepare_threshold": None,
    }


def session_settings(statement_timeout_seconds: float) -> tuple[LiteralString, list[list[str]]]:
    """Return the query, and its values, that a new connection begins with.

    Whatever the server, the database, the role or the URL set, rows are then read and written
    alike.
    """
    settings = {**_SESSION, "statement_timeout": f"{int(statement_timeout_seconds * 1000)}ms"}
    return (
        "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[])"
        " AS settings (name, value)",
        [list(settings), list(settings.values())],
    )


def is_postgres_url(url: str) -> bool:
    """Return whether the driver can parse `url`."""
    try:
        psycopg.conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return False
    return True


async def configure_connection(connection: Connection, statement_timeout_seconds: float) -> None:
    """Make the settings of a new session, and set how it decodes `real[]` and `jsonb`."""
    await connection.execute(*session_settings(statement_timeout_seconds))
    connection.adapters.register_loader(REAL_ARRAY_OID, FloatArrayLoader)
    set_json_loads(read_json, connection)


class FloatArrayLoader(Loader):
    """Decodes a `real[]` to little-endian float32 bytes."""

    format = Format.BINARY

    def load(self, data: Any) -> bytes:
        return decode_float_array(bytes(data))


async def read_time(connection: Connection) -> datetime:
    """Return the time at which the transaction began, by the clock of the database."""
    cursor = await connection.execute("SELECT now()")
    (now,) = [moment for (moment,) in await cursor.fetchall()]
    return cast(datetime, now)


async def try_lock(connection: Connection, name: str) -> bool:
    """Take the advisory lock `name` until the transaction ends; return False if it is taken."""
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(hashtext(%s))", [name])
    return await cursor.fetchone() == (True,)


async def set_statement_timeout(connection: Connection, seconds: float) -> None:
    """Set the timeout of each statement until the transaction ends."""
    await connection.execute(
        "SELECT set_config('statement_timeout', %s, true)", [f"{int(seconds * 1000)}ms"]
    )
