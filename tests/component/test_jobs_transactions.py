"""Transactions stay atomic after a cancellation, and read-only nodes count as unavailable."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.fixtures.batch import Batch, eventually, is_available
from tests.fixtures.postgres import execute_as_owner

from slipway_core.errors import StoreUnavailable
from slipway_core.store.postgres.database import Database
from slipway_core.store.schema.roles import APPLICATION

pytestmark = pytest.mark.component


def create_table(batch: Batch) -> None:
    execute_as_owner(
        batch.settings.database_url.get_secret_value(),
        "CREATE TABLE written (number integer)",
        f"GRANT SELECT, INSERT ON written TO {APPLICATION}",
    )


async def fail_after_writing(batch: Batch, number: int) -> None:
    async with batch.database.transaction() as connection:
        await connection.execute("INSERT INTO written VALUES (%s)", [number])
        raise ZeroDivisionError


async def test_transactions_stay_atomic_when_others_are_cancelled(batch: Batch) -> None:
    """A cancellation at any point must not leave a connection in autocommit mode."""

    async def cancel_after(turns: int) -> None:
        task = asyncio.create_task(batch.chunks.backlog())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    create_table(batch)
    for turns in range(60):
        await cancel_after(turns)
        with suppress(ZeroDivisionError):
            await fail_after_writing(batch, turns)
    async with batch.database.transaction() as connection:
        cursor = await connection.execute("SELECT array_agg(number) FROM written")
        assert await cursor.fetchone() == (None,)


async def test_connections_to_a_demoted_node_are_closed(batch: Batch) -> None:
    """Connections can stay open to a node that became read-only in a failover."""
    database = await Database.open(batch.settings.model_copy(update={"database_pool_size": 1}))
    create_table(batch)
    async with database.transaction() as connection:
        await connection.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    async def write() -> None:
        async with database.transaction() as connection:
            await connection.execute("INSERT INTO written VALUES (1)")

    with pytest.raises(StoreUnavailable, match="read-only"):
        await write()
    await write()
    await database.close()


def set_read_only(batch: Batch, value: str) -> None:
    url = batch.settings.database_url.get_secret_value()
    database = conninfo_to_dict(url)["dbname"]
    execute_as_owner(url, f"ALTER DATABASE {database} SET default_transaction_read_only = {value}")


async def test_a_read_only_node_counts_as_unavailable(batch: Batch) -> None:
    set_read_only(batch, "on")
    database = await Database.open(batch.settings)
    assert not await is_available(database)
    set_read_only(batch, "off")
    await eventually(lambda: is_available(database))
    await database.close()
