"""An embedded Valkey on the loopback interface, with a password.

It keeps an append-only file, so that the queue survives a crash, and never evicts keys.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.embedded_server import EmbeddedServer
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.orphans import stop_orphans
from slipway_cli.local.servers.ports import LOOPBACK


class ValkeyServer(EmbeddedServer):
    """A Valkey server on a folder."""

    name = "Valkey"
    stop_signal = signal.SIGTERM
    ready_timeout_seconds = 60

    def __init__(
        self, folder: Path, *, program: Path, account: ServerAccount, password: str, log: Path
    ) -> None:
        super().__init__(folder.resolve(), account=account, password=password, log=log)
        self._program = program

    @property
    def url(self) -> str:
        """The address of database 0, with the password."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/0"

    def _prepare(self) -> None:
        stop_orphans(self._folder, "valkey-server", self.stop_signal)

    def _launch(self) -> None:
        configuration = self._folder / "valkey.conf"
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self._password,
            "dir": f'"{self._folder}"',
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "aof-load-truncated": "yes",
            "maxmemory-policy": "noeviction",
            "save": '""',
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        self._account.write_file(configuration, text)
        self._process.launch([str(self._program), str(configuration)], cwd=self._folder)

    def _is_ready(self) -> bool:
        if self.pid is None:
            return False
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                reply = b""
                while reply.count(b"\n") < 2:
                    received = connection.recv(256)
                    if not received:
                        return False
                    reply += received
        except OSError:
            return False
        return reply == b"+OK\r\n+PONG\r\n"

    def _explain(self, error: EmbeddedServerFailed) -> EmbeddedServerFailed:
        if "Bad file format reading the append only file" in self._process.output():
            return EmbeddedServerFailed(
                f"the queue's file in {self._folder} is damaged. It holds reminders only, the work "
                f"itself is in PostgreSQL: move it away, mv {self._folder} {self._folder}.old"
            )
        return error
