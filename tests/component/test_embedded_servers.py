"""The embedded servers keep their data through stops and crashes, and report problems."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from tests.fixtures.local_platform import wait_until
from tests.fixtures.services import kill_server

from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.errors import InvalidSettings

pytestmark = pytest.mark.component


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="slipway-test-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def postgres(
    folder: Path, server_account: ServerAccount, server_binaries: ServerBinaries
) -> Iterator[PostgresServer]:
    server = PostgresServer(
        folder / "postgres",
        installation=server_binaries.postgres,
        account=server_account,
        password="a-password",
        log=folder / "postgres.log",
        options={"fsync": "off"},
    )
    yield server
    server.stop()


@pytest.fixture
def valkey(
    folder: Path, server_account: ServerAccount, server_binaries: ServerBinaries
) -> Iterator[ValkeyServer]:
    server = ValkeyServer(
        folder / "valkey",
        program=server_binaries.valkey,
        account=server_account,
        password="a-password",
        log=folder / "valkey.log",
    )
    yield server
    server.stop()


def test_rows_survive_a_stop_and_a_crash(postgres: PostgresServer) -> None:
    postgres.start()
    with psycopg.connect(postgres.superuser_url()) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (1)")
    port = postgres.port
    postgres.stop()
    postgres.start()
    with psycopg.connect(postgres.superuser_url()) as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
        connection.commit()
        kill_server(postgres)
    assert postgres.pid is None
    postgres.start()
    assert postgres.port == port
    with psycopg.connect(postgres.superuser_url()) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (2,)


def test_postgresql_shares_no_memory_where_models_may_write(postgres: PostgresServer) -> None:
    postgres.start()
    with psycopg.connect(postgres.superuser_url()) as connection:
        assert connection.execute("SHOW dynamic_shared_memory_type").fetchone() == ("mmap",)


def test_keys_survive_a_stop_and_a_crash(valkey: ValkeyServer) -> None:
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        client.set("first", "1")
        # Wait until the append-only file is written to disk.
        client.execute_command("WAITAOF", 1, 0, 5000)
        kill_server(valkey)
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        client.set("second", "2")
    valkey.stop()
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.mget("first", "second") == [b"1", b"2"]
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_servers_require_the_password(postgres: PostgresServer, valkey: ValkeyServer) -> None:
    postgres.start()
    valkey.start()
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres.superuser_url().replace("a-password", "another"))
    with (
        redis.Redis.from_url(valkey.url.replace("a-password", "another")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.ping()


def test_the_password_is_not_in_arguments_or_readable_files(
    postgres: PostgresServer, valkey: ValkeyServer, folder: Path
) -> None:
    postgres.start()
    valkey.start()
    for pid in (postgres.pid, valkey.pid):
        process = psutil.Process(pid)
        assert "a-password" not in " ".join(process.cmdline())
        assert "a-password" not in str(process.environ())
        assert process.uids().effective != 0
    for file in folder.rglob("*"):
        if file.is_file() and b"a-password" in file.read_bytes():
            assert file.stat().st_mode & 0o077 == 0, file


def test_a_stale_pid_file_does_not_matter(postgres: PostgresServer, folder: Path) -> None:
    postgres.start()
    pid_file = folder / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop()
    # The PID belongs to another process by now, as after a power failure.
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    postgres.start()
    with psycopg.connect(postgres.superuser_url()) as connection:
        connection.execute("SELECT 1")


def test_running_servers_of_an_earlier_start_are_replaced(
    postgres: PostgresServer,
    valkey: ValkeyServer,
    folder: Path,
    server_account: ServerAccount,
    server_binaries: ServerBinaries,
) -> None:
    postgres.start()
    valkey.start()
    with psycopg.connect(postgres.superuser_url()) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    second_postgres = PostgresServer(
        folder / "postgres",
        installation=server_binaries.postgres,
        account=server_account,
        password="a-password",
        log=folder / "postgres.log",
    )
    second_valkey = ValkeyServer(
        folder / "valkey",
        program=server_binaries.valkey,
        account=server_account,
        password="a-password",
        log=folder / "valkey.log",
    )
    try:
        second_postgres.start()
        second_valkey.start()
        assert postgres.pid is None
        assert valkey.pid is None
        with psycopg.connect(second_postgres.superuser_url()) as connection:
            connection.execute("SELECT * FROM kept")
    finally:
        second_postgres.stop()
        second_valkey.stop()


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (Linux)")
def test_servers_stop_when_their_supervisor_is_killed(folder: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.binaries import ServerBinaries
from slipway_cli.local.servers.postgres import PostgresServer
from slipway_cli.local.servers.valkey import ValkeyServer
folder = Path(sys.argv[1])
account = ServerAccount.choose()
binaries = ServerBinaries.installed().reachable_by(account, folder / "servers")
own = {"account": account, "password": "p", "log": folder / "log"}
postgres = PostgresServer(folder / "postgres", installation=binaries.postgres, **own)
valkey = ValkeyServer(folder / "valkey", program=binaries.valkey, **own)
for server in (postgres, valkey):
    server.start()
print(postgres.pid, valkey.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        servers = [psutil.Process(int(pid)) for pid in supervisor.stdout.readline().split()]
        supervisor.send_signal(signal.SIGKILL)
    assert len(servers) == 2
    _, alive = psutil.wait_procs(servers, timeout=30)
    assert alive == []


def test_a_port_taken_before_the_first_start_is_avoided(
    postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    for server in (postgres, valkey):
        server.launch()
        server.stop()
        with socket.socket() as occupier:
            occupier.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            occupier.bind(("127.0.0.1", server.port))
            occupier.listen()
            occupied = server.port
            server._launch()
            server.wait_until_ready()
            assert server.port != occupied


def can_bind(occupier: socket.socket, port: int) -> bool:
    try:
        occupier.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_a_port_taken_during_a_restart_is_reported(
    postgres: PostgresServer, valkey: ValkeyServer
) -> None:
    for server in (postgres, valkey):
        server.start()
        kill_server(server)
        with socket.socket() as occupier:
            occupier.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Children of a killed server hold its port until they exit.
            wait_until(partial(can_bind, occupier, server.port), "a free port")
            occupier.listen()
            with pytest.raises(EmbeddedServerFailed, match=f"port {server.port} .* was taken"):
                server.start()


def test_an_interrupted_first_start_is_repeated(postgres: PostgresServer, folder: Path) -> None:
    unfinished = folder / "postgres" / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "half").write_text("made")
    postgres.start()
    assert not unfinished.exists()


def test_data_of_another_major_version_is_reported(postgres: PostgresServer, folder: Path) -> None:
    data = folder / "postgres" / "data"
    postgres.start()
    postgres.stop()
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedServerFailed, match=r"made by PostgreSQL 16.*carries 18.*move it"):
        postgres.start()


@pytest.mark.parametrize("missing", ["PG_VERSION", "global/pg_control", "pg_wal", "base"])
def test_a_damaged_data_folder_is_reported(
    postgres: PostgresServer, folder: Path, missing: str
) -> None:
    postgres.start()
    postgres.stop()
    path = folder / "postgres" / "data" / missing
    path.rename(folder / "removed")
    with pytest.raises(EmbeddedServerFailed, match=r"damaged.*Put back a copy of it"):
        postgres.start()


def test_a_damaged_queue_file_is_reported(valkey: ValkeyServer, folder: Path) -> None:
    valkey.start()
    with redis.Redis.from_url(valkey.url) as client:
        for number in range(100):
            client.set(f"key-{number}", secrets.token_hex(20))
    valkey.stop()
    file = max((folder / "valkey").rglob("*.incr.aof"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50] = b"\xff" * 50
    file.write_bytes(content)
    with pytest.raises(EmbeddedServerFailed, match=r"damaged.*move it away"):
        valkey.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose servers run as another user")
def test_programs_in_a_private_folder_are_copied_once(
    folder: Path, server_account: ServerAccount
) -> None:
    private = Path(tempfile.mkdtemp())
    try:
        installed = ServerBinaries.installed()
        package = installed.postgres.parent
        for part in (package, package.with_name(f"{package.name}.libs")):
            shutil.copytree(part, private / part.name, symlinks=True)
        shutil.copy2(installed.valkey, private / "valkey-server")
        hidden = ServerBinaries(
            private / package.name / installed.postgres.name, private / "valkey-server"
        )
        copied = hidden.reachable_by(server_account, folder / "servers")
        assert copied.postgres.is_relative_to(folder)
        created = copied.valkey.stat().st_ctime_ns
        assert hidden.reachable_by(server_account, folder / "servers") == copied
        assert copied.valkey.stat().st_ctime_ns == created
        assert private.stat().st_mode & 0o077 == 0
        server = PostgresServer(
            folder / "postgres",
            installation=copied.postgres,
            account=server_account,
            password="p",
            log=folder / "postgres.log",
        )
        server.start()
        server.stop()
    finally:
        shutil.rmtree(private)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, whose servers run as another user")
def test_a_folder_that_the_account_cannot_enter_is_reported(
    server_account: ServerAccount, server_binaries: ServerBinaries
) -> None:
    private = Path(tempfile.mkdtemp())
    try:
        server = ValkeyServer(
            private / "valkey",
            program=server_binaries.valkey,
            account=server_account,
            password="p",
            log=private / "valkey.log",
        )
        with pytest.raises(InvalidSettings, match=r"`nobody`, who cannot enter .*--home"):
            server.start()
        assert private.stat().st_mode & 0o777 == 0o700
    finally:
        shutil.rmtree(private)
