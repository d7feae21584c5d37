"""A password that changes while a service runs is read from its file at the next connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from tests.fixtures.batch import eventually, is_available
from tests.fixtures.postgres import as_role

from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.errors import QueueUnavailable, StoreUnavailable
from slipway_core.queue.doorbell import ArqDoorbell
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.database import Database
from slipway_core.store.schema.roles import SUPERUSER

pytestmark = pytest.mark.component
ROLE = "slipway_rotated"


@pytest.fixture
def secrets_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a mounted Secret, which the settings read."""
    monkeypatch.setenv("SLIPWAY_SECRETS_DIR", str(tmp_path))
    for name in ("SLIPWAY_DATABASE_URL", "SLIPWAY_REDIS_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def role(database_url: str) -> Iterator[psycopg.Connection]:
    """Create a role with the password `old`, and yield a connection that can change it."""
    with psycopg.connect(as_role(database_url, SUPERUSER), autocommit=True) as owner:
        owner.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD 'old'")
        yield owner
        owner.execute(f"DROP ROLE {ROLE}")


async def test_a_changed_password_of_the_database_is_used(
    secrets_folder: Path, role: psycopg.Connection
) -> None:
    address = f"{role.info.host}:{role.info.port}/{role.info.dbname}"
    file = secrets_folder / "slipway_database_url"
    file.write_text(f"postgresql://{ROLE}:old@{address}")
    database = await Database.open(ServiceSettings.load())
    await database.ping()

    role.execute(f"ALTER ROLE {ROLE} PASSWORD 'new'")
    role.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [ROLE]
    )
    with pytest.raises(StoreUnavailable):
        await database.ping()

    file.write_text(f"postgresql://{ROLE}:new@{address}\n")
    await eventually(lambda: is_available(database))
    await database.close()


async def test_a_changed_password_of_the_queue_is_used(
    secrets_folder: Path, valkey_server: ValkeyServer
) -> None:
    address = valkey_server.url.rpartition("@")[2]
    file = secrets_folder / "slipway_redis_url"
    file.write_text(f"redis://{ROLE}:old@{address}")
    with redis.Redis.from_url(valkey_server.url) as owner:
        owner.execute_command("ACL", "SETUSER", ROLE, "on", ">old", "~*", "+@all")
        doorbell = await ArqDoorbell.connect(ServiceSettings.load())
        await doorbell.ring(["a:0:0"])

        owner.execute_command("ACL", "SETUSER", ROLE, "resetpass", ">new")
        owner.execute_command("CLIENT", "KILL", "USER", ROLE)
        with pytest.raises(QueueUnavailable):
            await doorbell.ring(["a:1:0"])

        file.write_text("nonsense")
        with pytest.raises(QueueUnavailable):
            await doorbell.ring(["a:1:0"])

        file.write_text(f"redis://{ROLE}:new@{address}")
        await doorbell.ring(["a:1:0"])
        assert await doorbell.depth() == 2
        await doorbell.close()
        owner.execute_command("ACL", "DELUSER", ROLE)


def test_a_url_from_a_variable_does_not_change(
    secrets_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_REDIS_URL", "redis://variable:6379/0")
    (secrets_folder / "slipway_redis_url").write_text("redis://file:6379/0")
    (secrets_folder / "slipway_database_url").write_text("postgresql://file/slipway")
    settings = ServiceSettings.load()
    assert settings.reload_secret("redis_url") == "redis://variable:6379/0"
    (secrets_folder / "slipway_database_url").unlink()
    assert settings.reload_secret("database_url") == "postgresql://file/slipway"
