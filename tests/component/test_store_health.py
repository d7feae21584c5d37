"""What /health, the gauges and the log say about stores that answer but cannot be used."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import psycopg
import pytest
import redis
from tests.fixtures.batch import Batch, eventually
from tests.fixtures.inference_app import open_app
from tests.fixtures.postgres import as_owner, as_role

from slipway_cli.diagnosis import Installation, check_redis
from slipway_cli.local.home import Home
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.errors import QueueUnavailable, StoreUnavailable
from slipway_core.maintenance.backlog import measure
from slipway_core.maintenance.metrics import DEPENDENCY_UP
from slipway_core.store.schema.migrate import migrate
from slipway_core.store.schema.roles import APPLICATION, SUPERUSER

pytestmark = pytest.mark.component
MIGRATE = "`python -m slipway_core.store.schema.migrate`"


async def health_when(client: httpx2.AsyncClient, **expected: str) -> dict[str, Any]:
    """Wait until members of the summary have these values, and return the summary."""

    async def summary() -> dict[str, Any] | None:
        body: dict[str, Any] = (await client.get("/health")).json()
        return body if all(body[name] == value for name, value in expected.items()) else None

    result: dict[str, Any] = await eventually(summary, what=f"the health {expected}")
    return result


async def test_a_database_without_tables_is_reported_once_and_used_when_it_is_migrated(
    empty_database_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url = as_role(empty_database_url, APPLICATION)
    async with open_app(database_url=url) as (client, components):
        for number in range(5):
            response = await client.post("/predict/text", json={"input_text": str(number)})
            assert response.status_code == 200
        log = components.stores.prediction_log
        await eventually(lambda: _is(log.problem))
        body = await health_when(client, status="degraded", database="schema mismatch")
        assert any(MIGRATE in reason for reason in body["reasons"])
        response = await client.post("/predict/text/batch", json={"inputs": ["a"]})
        assert (response.status_code, response.json()["code"]) == (503, "SchemaMismatch")
        assert MIGRATE in response.json()["detail"]
        assert log.dropped == 0

        migrate(empty_database_url)
        await eventually(lambda: _is(log.written == 5))
        await health_when(client, database="ok")
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    about_rows = [line for line in lines if line["logger"] == "slipway.prediction_log"]
    assert [line["level"] for line in about_rows] == ["warning", "info"], about_rows
    assert not [line for line in lines if "exception" in line]


async def _is(value: object) -> bool:
    return bool(value)


@pytest.mark.parametrize(
    ("revision", "remedy"), [("0001", MIGRATE), ("9999", "at least as new as the one")]
)
async def test_tables_of_another_release_are_reported(
    database_url: str, revision: str, remedy: str
) -> None:
    with psycopg.connect(as_owner(database_url)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", [revision])
    async with open_app(database_url=database_url) as (client, _):
        body = await health_when(client, status="degraded", database="schema mismatch")
    assert any(revision in reason and remedy in reason for reason in body["reasons"])


@asynccontextmanager
async def read_only(url: str) -> AsyncIterator[None]:
    """Make the running sessions of all databases read-only, like a failover does."""
    statements = (
        "ALTER SYSTEM SET default_transaction_read_only = on",
        "ALTER SYSTEM RESET default_transaction_read_only",
    )
    options = "-c default_transaction_read_only=off"
    connect = psycopg.AsyncConnection.connect
    async with await connect(
        as_role(url, SUPERUSER), options=options, autocommit=True
    ) as connection:
        try:
            await connection.execute(statements[0])
            await connection.execute("SELECT pg_reload_conf()")
            yield
        finally:
            await connection.execute(statements[1])
            await connection.execute("SELECT pg_reload_conf()")


async def test_a_read_only_database_is_reported_as_down(batch: Batch) -> None:
    url = batch.settings.database_url.get_secret_value()
    async with open_app(database_url=url) as (client, _):
        await health_when(client, database="ok")
        async with read_only(url):
            await health_when(client, status="degraded", database="unavailable")

            async def is_down() -> bool:
                await measure(batch.database, batch.chunks, None)
                return gauge("database") == 0

            await eventually(is_down)
            with pytest.raises(StoreUnavailable):
                await batch.submit(["a"], ring=False)
        await health_when(client, database="ok")


@pytest.fixture
def full_queue(valkey_server: ValkeyServer) -> Iterator[None]:
    """Fill the memory of Valkey."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.config_set("maxmemory", "1")
        yield
        client.config_set("maxmemory", "0")


@pytest.fixture
def replica_queue(valkey_server: ValkeyServer) -> Iterator[None]:
    """Make Valkey a replica of a server that does not exist."""
    with redis.Redis.from_url(valkey_server.url) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        yield
        client.execute_command("REPLICAOF", "NO", "ONE")


@pytest.mark.parametrize(
    ("fault", "reason"), [("full_queue", "maxmemory"), ("replica_queue", "replica")]
)
async def test_a_queue_that_accepts_no_writes_is_reported_as_down(
    batch: Batch, request: pytest.FixtureRequest, fault: str, reason: str
) -> None:
    await measure(batch.database, batch.chunks, batch.doorbell)
    assert gauge("queue") == 1
    request.getfixturevalue(fault)
    await measure(batch.database, batch.chunks, batch.doorbell)
    assert gauge("queue") == 0
    with pytest.raises(QueueUnavailable):
        await batch.submit(["a"])
    names = {"namespace", "deployment", "database_url", "redis_url"}
    async with open_app(**batch.settings.model_dump(include=names)) as (client, _):
        body = await health_when(client, status="degraded", redis="unavailable", database="ok")
    assert any(reason in each for each in body["reasons"]), body["reasons"]
    redis_url = batch.settings.redis_url.get_secret_value()
    finding = check_redis(
        Installation(
            Home.choose(None),
            "http://127.0.0.1:1",
            "",
            redis_url,
            uses_embedded=False,
            sandbox="auto",
        )
    )
    assert (finding.state, reason in finding.message) == ("fail", True)


def gauge(dependency: str) -> float:
    (metric,) = DEPENDENCY_UP.labels(dependency).collect()
    return next(float(sample.value) for sample in metric.samples)
