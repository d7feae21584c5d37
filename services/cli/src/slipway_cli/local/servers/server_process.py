"""One server as a child process: started, waited for, stopped, and its log read when it fails."""

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

LARGEST_LOG_BYTES = 10_000_000


class ServerProcess:
    """A server program run under an account; its output goes to `log`.

    Where the system has `setpriv`, the kernel sends it `stop_signal` as soon as the thread that
    started it ends: a server does not outlive its supervisor, even when that is killed. Start
    servers from a thread that stays, therefore.
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
        """Start the program and return at once."""
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > LARGEST_LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the command is ours
                [*end_with_parent(self._stop_signal), *command],
                cwd=cwd,
                env=plain_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is for the supervisor, which stops servers in order.
                start_new_session=True,
                **self._account.identity(),
            )

    def wait_until(self, ready: Callable[[], bool], timeout_seconds: float) -> None:
        """Wait for `ready`. Raises EmbeddedServerFailed when the server ends or time runs out."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if self.pid is None:
                raise EmbeddedServerFailed(
                    f"{self.name} ended while it started{self._last_words()}"
                )
            if time.monotonic() > deadline:
                self.stop()
                raise EmbeddedServerFailed(
                    f"{self.name} was not ready within {timeout_seconds:.0f} s; see {self.log}"
                )
            time.sleep(0.01)

    def output(self) -> str:
        """What the server wrote since it was last started, at most the last 64 KB."""
        with contextlib.suppress(FileNotFoundError), self.log.open("rb") as reader:
            size = reader.seek(0, os.SEEK_END)
            reader.seek(max(self._log_start, size - 65_536))
            return reader.read().decode(errors="replace")
        return ""

    def stop(self, timeout_seconds: float = 30) -> None:
        """Ask the server to end and wait for it; kill it when it takes too long."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server at once, without a chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        if "No space left on device" in self.output():
            return f": the disk that holds {self.log.parent} is full; free some space"
        lines = [line for line in self.output().splitlines() if line.strip()]
        alarming = [line for line in lines if "FATAL" in line or "PANIC" in line]
        said = (alarming or lines)[-1:]
        return f" and said: {said[0].strip()} (all of it is in {self.log})" if said else ""


def plain_environment() -> dict[str, str]:
    """The environment of a server: nothing of the caller's, so no secret and no odd locale."""
    return {"PATH": "/usr/bin:/bin", "LANG": "C", "LC_ALL": "C"}


def end_with_parent(number: signal.Signals) -> list[str]:
    """The start of a command that is sent this signal when its parent ends; empty where the
    system has no setpriv.
    """
    setpriv = shutil.which("setpriv")
    return [setpriv, f"--pdeathsig={number.name}", "--"] if setpriv else []
