"""A server program as a child process: start, wait for readiness, stop, read its log."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.local.servers.errors import EmbeddedServerFailed

MAX_LOG_BYTES = 10_000_000
MAX_OUTPUT_BYTES = 65_536


class ServerProcess:
    """A server program that runs under an account and writes its output to `log`.

    Where the system has `setpriv`, the kernel sends it `stop_signal` when the thread that started
    it ends, so it does not outlive its supervisor, even one that is killed. Start servers from a
    thread that lives as long as they should.
    """

    def __init__(
        self, name: str, account: ServerAccount, log: Path, stop_signal: signal.Signals
    ) -> None:
        self.name = name
        self.log = log
        self._account = account
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int | None:
        """The process id while the server runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def launch(self, command: Sequence[str], cwd: Path) -> None:
        """Start the program without waiting for it."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > MAX_LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                [*end_with_parent(self._stop_signal), *command],
                cwd=cwd,
                env=minimal_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal must reach the supervisor alone: it stops servers in order.
                start_new_session=True,
                **self._account.identity(),
            )

    def wait_until(self, is_ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Wait for readiness. Raises EmbeddedServerFailed when the server ends or time runs out."""
        deadline = time.monotonic() + timeout_seconds
        while not is_ready():
            if self.pid is None:
                raise EmbeddedServerFailed(
                    f"{self.name} ended while it started{self._last_message()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServerFailed(
                    f"{self.name} was not ready within {timeout_seconds:.0f} s; see {self.log}"
                )
            time.sleep(0.01)

    def output(self) -> str:
        """Return the last MAX_OUTPUT_BYTES that the server wrote since its last start."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as reader:
            size = reader.seek(0, os.SEEK_END)
            reader.seek(max(self._log_start, size - MAX_OUTPUT_BYTES))
            return reader.read().decode(errors="replace")
        return ""

    def stop(self, timeout_seconds: float = 30) -> None:
        """Stop the server, with SIGKILL after the timeout, and wait for its end."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_message(self) -> str:
        if "No space left on device" in self.output():
            return f": the disk that holds {self.log.parent} is full; free some space"
        lines = [line for line in self.output().splitlines() if line.strip()]
        fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
        last = (fatal or lines)[-1:]
        return f": {last[0].strip()} (see {self.log})" if last else ""


def minimal_environment() -> dict[str, str]:
    """Return the environment of a server, without secrets and the locale of the user."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"}


def end_with_parent(number: signal.Signals) -> list[str]:
    """Return a command prefix that sends this signal to the command when its parent ends.

    It is empty where the system has no setpriv.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, f"--pdeathsig={number.name}", "--"] if setpriv else []
