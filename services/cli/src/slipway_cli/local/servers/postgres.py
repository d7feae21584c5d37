"""An embedded PostgreSQL on the loopback interface, with passwords.

The database cluster is created in a temporary folder and renamed when it is complete, so that an
interrupted first start leaves nothing unfinished behind.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from slipway_cli.local.servers.account import COMMAND_TIMEOUT_SECONDS, ServerAccount
from slipway_cli.local.servers.embedded_server import EmbeddedServer
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.orphans import stop_orphans
from slipway_cli.local.servers.ports import LOOPBACK
from slipway_cli.local.servers.server_process import minimal_environment

MAJOR_VERSION = "18"
SUPERUSER = "postgres"
DATABASE = "slipway"
_REQUIRED_FILES = ("PG_VERSION", "global/pg_control", "pg_wal", "base")
_STATUS_LINE = 7  # of postmaster.pid


class PostgresServer(EmbeddedServer):
    """A PostgreSQL server on a folder, with its cluster in `folder/data`.

    password: that of the superuser. installation: the folder of PostgreSQL, with bin, lib and
    share. options: server settings by name, such as {"fsync": "off"}.
    """

    name = "PostgreSQL"
    stop_signal = signal.SIGINT
    ready_timeout_seconds = 120

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
        super().__init__(folder, account=account, password=password, log=log)
        self._data = folder.resolve() / "data"
        self._programs = installation / "bin"
        self._options = dict(options or {})

    def superuser_url(self, database: str = DATABASE) -> str:
        """Return the address of a database for the superuser, with the password."""
        return self.url_for(SUPERUSER, self._password, database)

    def url_for(self, role: str, password: str, database: str = DATABASE) -> str:
        """Return the address of a database for any role, with its password."""
        return f"postgresql://{role}:{password}@{LOOPBACK}:{self.port}/{database}"

    def _prepare(self) -> None:
        if self._data.exists():
            self._check_data()
        else:
            self._create_cluster()
        stop_orphans(self._data, "postgres", self.stop_signal)
        # No server uses the folder now, so the process in the file is another program.
        (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self) -> None:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "log_checkpoints": "off",
            # In its folder, not in /dev/shm, where models may write.
            "dynamic_shared_memory_type": "mmap",
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
        is_current = bool(lines) and lines[0] == str(self._process.pid)
        return is_current and len(lines) > _STATUS_LINE and lines[_STATUS_LINE].strip() == "ready"

    def _check_data(self) -> None:
        missing = [name for name in _REQUIRED_FILES if not (self._data / name).exists()]
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
        if "FATAL" not in output or any(message in output for message in harmless):
            return error
        return EmbeddedServerFailed(
            f"{error.message}. {self._data} may be damaged. {self._remedy()}"
        )

    def _create_cluster(self) -> None:
        unfinished = self._folder / "data.unfinished"
        password_file = self._folder / "initial-password"
        shutil.rmtree(unfinished, ignore_errors=True)
        self._account.write_file(password_file, self._password + "\n")
        try:
            self._run_initdb(unfinished, password_file)
            self._create_database(unfinished)
        finally:
            password_file.unlink(missing_ok=True)
        unfinished.rename(self._data)

    def _run_initdb(self, cluster: Path, password_file: Path) -> None:
        command = [
            str(self._programs / "initdb"), "-D", str(cluster), "-U", SUPERUSER, "--encoding=UTF8",
            "--locale=C", "--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync",
            "--no-instructions",
        ]  # fmt: skip
        finished = self._account.run(command, cwd=self._folder, env=minimal_environment())
        if finished.returncode != 0:
            raise self._creation_error(finished.stdout)

    def _create_database(self, cluster: Path) -> None:
        finished = subprocess.run(  # noqa: S603 - the command is ours
            [str(self._programs / "postgres"), "--single", "-D", str(cluster), "postgres"],
            cwd=self._folder,
            env=minimal_environment(),
            input=f"CREATE DATABASE {DATABASE}",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_TIMEOUT_SECONDS,
            **self._account.identity(),
        )
        if finished.returncode != 0 or "ERROR" in finished.stdout:
            raise self._creation_error(finished.stdout)

    def _creation_error(self, output: str) -> EmbeddedServerFailed:
        if "No space left on device" in output:
            return EmbeddedServerFailed(
                f"the database could not be created: the disk that holds {self._folder} is full; "
                f"free some space (40 MB are needed to begin with)"
            )
        errors = [line for line in output.splitlines() if "rror" in line or "FATAL" in line]
        cause = errors[0].strip() if errors else output.strip()[-300:]
        return EmbeddedServerFailed(f"the database in {self._folder} could not be created: {cause}")
