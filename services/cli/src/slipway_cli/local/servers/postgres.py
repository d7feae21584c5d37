"""An embedded PostgreSQL: TCP on the loopback interface, a password, and its data kept.

The database cluster is made in a folder beside the final one and moved into place when it is
complete, so an interrupted first start leaves nothing half-made behind.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.orphans import stop_leftovers
from slipway_cli.local.servers.ports import LOOPBACK, find_free_port, is_free
from slipway_cli.local.servers.server_process import ServerProcess, plain_environment

MAJOR_VERSION = "18"
USER = "slipway"
DATABASE = "slipway"
_ESSENTIAL = ("PG_VERSION", "global/pg_control", "pg_wal", "base")
_READY_LINE = 7
_START_ATTEMPTS = 5


class PostgresServer:
    """A PostgreSQL server on a folder.

    folder: private to the server; its cluster is `folder/data`.
    installation: PostgreSQL's own folder, with bin, lib and share.
    options: server settings by name, such as {"fsync": "off"}.

    The port is chosen at the first start and kept as long as this object, so clients find the
    server again after `kill` and `start`. All methods raise EmbeddedServerFailed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        installation: Path,
        account: ServerAccount,
        password: str,
        log: Path,
        options: Mapping[str, str] | None = None,
    ) -> None:
        self.port = 0
        self._folder = folder
        self._data = folder.resolve() / "data"
        self._programs = installation / "bin"
        self._account = account
        self._password = password
        self._options = dict(options or {})
        self._process = ServerProcess("PostgreSQL", account, log, signal.SIGINT)
        self._published = False

    @property
    def url(self) -> str:
        """Address of Slipway's database, password included."""
        return self.database_url(DATABASE)

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._process.pid

    def database_url(self, database: str) -> str:
        """Address of any database of this server, password included."""
        return f"postgresql://{USER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Make the cluster where there is none, start the server and wait until it answers."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Make the cluster where there is none and start the server, without waiting for it."""
        if self.pid is not None:
            return
        self._account.make_folder(self._folder)
        self._account.require_way_into(self._folder)
        self._check_data()
        if not self._data.exists():
            self._make_cluster()
        self._clear_leftovers()
        if not self._published:
            self.port = find_free_port()
        elif not is_free(self.port):
            raise EmbeddedServerFailed(
                f"port {self.port} of PostgreSQL was taken by another program: start Slipway again"
            )
        self._launch()

    def wait_until_ready(self, timeout_seconds: float = 120) -> None:
        """Wait until the server answers; the first start goes to another port when it must."""
        for attempt in range(1, _START_ATTEMPTS + 1):
            try:
                self._process.wait_until(self._is_ready, timeout_seconds)
                break
            except EmbeddedServerFailed as error:
                in_use = "Address already in use" in self._process.output()
                if self._published or not in_use or attempt == _START_ATTEMPTS:
                    raise self._explain(error) from None
                self.port = find_free_port()
                self._launch()
        self._published = True

    def stop(self) -> None:
        """Close all connections, write everything to disk and end."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL the main process: what a crash looks like."""
        self._process.kill()

    def _launch(self) -> None:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "log_checkpoints": "off",
            **self._options,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data), *options]
        self._process.launch(command, cwd=self._folder)

    def _is_ready(self) -> bool:
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        ours = bool(lines) and lines[0] == str(self._process.pid)
        return ours and len(lines) > _READY_LINE and lines[_READY_LINE].strip() == "ready"

    def _check_data(self) -> None:
        if not self._data.exists():
            return
        missing = [name for name in _ESSENTIAL if not (self._data / name).exists()]
        if missing:
            raise EmbeddedServerFailed(
                f"{self._data} is damaged: it has no {missing[0]}. {self._remedy()}"
            )
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise EmbeddedServerFailed(
                f"{self._data} was made by PostgreSQL {version}, and this Slipway carries "
                f"{MAJOR_VERSION}: go back to the Slipway that made it, or upgrade the folder with "
                f"pg_upgrade. {self._remedy()}"
            )

    def _remedy(self) -> str:
        return (
            f"Put back a copy of it, or move it away to begin with an empty database: "
            f"mv {self._data} {self._data}.old"
        )

    def _explain(self, error: EmbeddedServerFailed) -> EmbeddedServerFailed:
        output = self._process.output()
        harmless = ("No space left on device", "Address already in use")
        if "FATAL" not in output or any(sign in output for sign in harmless):
            return error
        return EmbeddedServerFailed(
            f"{error.message}. {self._data} may be damaged. {self._remedy()}"
        )

    def _clear_leftovers(self) -> None:
        stop_leftovers(self._data, "postgres", signal.SIGINT)
        # Nobody uses the folder now, so the number in the file is not that of a server of ours.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _make_cluster(self) -> None:
        unfinished = self._folder / "data.unfinished"
        password_file = self._folder / "initial-password"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._account.write_file(password_file, self._password + "\n")
        try:
            self._run_program(
                "initdb", "-D", str(unfinished), "-U", USER, "--encoding=UTF8", "--locale=C",
                "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync",
                "--no-instructions",
            )  # fmt: skip
            self._create_database(unfinished)
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.rename(self._data)

    def _create_database(self, cluster: Path) -> None:
        finished = subprocess.run(  # noqa: S603 - the command is ours
            [str(self._programs / "postgres"), "--single", "-D", str(cluster), "postgres"],
            cwd=self._folder,
            env=plain_environment(),
            input=f"CREATE DATABASE {DATABASE}",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
            **self._account.identity(),
        )
        if finished.returncode != 0 or "ERROR" in finished.stdout:
            raise self._not_made(finished.stdout)

    def _run_program(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        finished = self._account.run(command, cwd=self._folder, env=plain_environment())
        if finished.returncode != 0:
            raise self._not_made(finished.stdout)

    def _not_made(self, output: str) -> EmbeddedServerFailed:
        if "No space left on device" in output:
            return EmbeddedServerFailed(
                f"the database could not be made: the disk that holds {self._folder} is full; "
                f"free some space (40 MB are needed to begin with)"
            )
        words = [line for line in output.splitlines() if "rror" in line or "FATAL" in line]
        said = words[0].strip() if words else output.strip()[-300:]
        return EmbeddedServerFailed(f"the database in {self._folder} could not be made: {said}")
