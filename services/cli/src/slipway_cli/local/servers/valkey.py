"""An embedded Valkey: loopback interface only, a password from a private file, an append-only
file so that what was queued survives a crash, and no eviction.
"""

from __future__ import annotations

import signal
import socket
from pathlib import Path

from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.orphans import stop_leftovers
from slipway_cli.local.servers.ports import LOOPBACK, find_free_port, is_free
from slipway_cli.local.servers.server_process import ServerProcess

_START_ATTEMPTS = 5


class ValkeyServer:
    """A Valkey server on a folder that is private to it.

    The port is chosen at the first start and kept as long as this object, so clients find the
    server again after `kill` and `start`. All methods raise EmbeddedServerFailed.
    """

    def __init__(
        self, folder: Path, *, program: Path, account: ServerAccount, password: str, log: Path
    ) -> None:
        self.port = 0
        self._folder = folder.resolve()
        self._program = program
        self._account = account
        self._password = password
        self._process = ServerProcess("Valkey", account, log, signal.SIGTERM)
        self._published = False

    @property
    def url(self) -> str:
        """Address of database 0, password included."""
        return self.database_url(0)

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._process.pid

    def database_url(self, number: int) -> str:
        """Address of one of the 16 numbered databases, password included."""
        return f"redis://:{self._password}@{LOOPBACK}:{self.port}/{number}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the server without waiting for it."""
        if self.pid is not None:
            return
        self._account.make_folder(self._folder)
        self._account.require_way_into(self._folder)
        stop_leftovers(self._folder, "valkey-server", signal.SIGTERM)
        if not self._published:
            self.port = find_free_port()
        elif not is_free(self.port):
            raise EmbeddedServerFailed(
                f"port {self.port} of Valkey was taken by another program: start Slipway again"
            )
        self._launch()

    def wait_until_ready(self, timeout_seconds: float = 60) -> None:
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
        """Write everything to disk and end."""
        self._process.stop()

    def kill(self) -> None:
        """SIGKILL: what a crash looks like."""
        self._process.kill()

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
                answer = b""
                while answer.count(b"\n") < 2:
                    received = connection.recv(256)
                    if not received:
                        return False
                    answer += received
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    def _explain(self, error: EmbeddedServerFailed) -> EmbeddedServerFailed:
        if "Bad file format reading the append only file" in self._process.output():
            return EmbeddedServerFailed(
                f"the queue's file in {self._folder} is damaged. It holds reminders only, the work "
                f"itself is in PostgreSQL: move it away, mv {self._folder} {self._folder}.old"
            )
        return error
