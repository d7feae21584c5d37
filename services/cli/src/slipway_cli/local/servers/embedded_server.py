"""What the embedded PostgreSQL and Valkey have in common: a private folder and a stable port."""

from __future__ import annotations

import signal
from abc import ABC, abstractmethod
from pathlib import Path

from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.errors import EmbeddedServerFailed
from slipway_cli.local.servers.ports import find_free_port, is_free
from slipway_cli.local.servers.server_process import ServerProcess

_MAX_START_ATTEMPTS = 5


class EmbeddedServer(ABC):
    """A server with a private folder, on the loopback interface.

    The port is chosen at the first start and kept for the life of this object, so that clients find
    the server again after a restart. All methods raise EmbeddedServerFailed.
    """

    name: str
    stop_signal: signal.Signals
    ready_timeout_seconds: float

    def __init__(self, folder: Path, *, account: ServerAccount, password: str, log: Path) -> None:
        self.port = 0
        self._folder = folder
        self._account = account
        self._password = password
        self._process = ServerProcess(self.name, account, log, self.stop_signal)
        self._port_is_final = False

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._process.pid

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the server without waiting for it."""
        if self.pid is not None:
            return
        self._account.make_folder(self._folder)
        self._account.require_access_to(self._folder)
        self._prepare()
        if not self._port_is_final:
            self.port = find_free_port()
        elif not is_free(self.port):
            raise EmbeddedServerFailed(
                f"port {self.port} of {self.name} was taken by another program: start Slipway again"
            )
        self._launch()

    def wait_until_ready(self) -> None:
        """Wait until the server accepts connections; at the first start, try other ports."""
        for attempt in range(1, _MAX_START_ATTEMPTS + 1):
            try:
                self._process.wait_until(self._is_ready, self.ready_timeout_seconds)
                break
            except EmbeddedServerFailed as error:
                in_use = "Address already in use" in self._process.output()
                if self._port_is_final or not in_use or attempt == _MAX_START_ATTEMPTS:
                    raise self._explain(error) from None
                self.port = find_free_port()
                self._launch()
        self._port_is_final = True

    def stop(self) -> None:
        """Let the server write everything to disk, and wait for its end."""
        self._process.stop()

    @abstractmethod
    def _prepare(self) -> None:
        """Make the folder ready for a start: stop orphans, and check or create the data."""

    @abstractmethod
    def _launch(self) -> None:
        """Start the program on the current port."""

    @abstractmethod
    def _is_ready(self) -> bool:
        """Return whether the server accepts connections."""

    @abstractmethod
    def _explain(self, error: EmbeddedServerFailed) -> EmbeddedServerFailed:
        """Return the error of a failed start with a remedy, if the output shows the cause."""
