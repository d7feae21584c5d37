"""A service of Slipway as a child process, restarted when it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway_cli.local.log_file import LogFile
from slipway_cli.local.servers.server_process import end_with_parent

FIRST_BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 30.0
STABLE_SECONDS = 60.0
"""Running time after which the backoff starts at FIRST_BACKOFF_SECONDS again."""


class ServiceProcess:
    """A Python module run as a child process, which logs to `logs/<name>.log`.

    It is restarted with exponential backoff.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self.log = LogFile(logs / f"{name}.log")
        # -P: the working folder may be the model's, and nothing is imported from there.
        python = [sys.executable, "-P", "-m"]
        self._command = [*end_with_parent(signal.SIGTERM), *python, *arguments]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._backoff = FIRST_BACKOFF_SECONDS
        self._restart_at: float | None = None

    @property
    def exit_status(self) -> int | None:
        """The exit status of the process; None while it runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        """Start the process without waiting for it."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal must reach the supervisor alone: it stops children in order.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.log.follow(self._process.stdout)

    def supervise(self) -> str | None:
        """Restart an ended process when its backoff is over. Return a message for the user."""
        if self.exit_status is None:
            return None
        now = time.monotonic()
        if self._restart_at is None:
            if now - self._started > STABLE_SECONDS:
                self._backoff = FIRST_BACKOFF_SECONDS
            self._restart_at = now + self._backoff
            message = f"{self.describe_end()}; starting it again in {self._backoff:g} s"
            self._backoff = min(self._backoff * 2, MAX_BACKOFF_SECONDS)
            return message
        if now >= self._restart_at:
            self._restart_at = None
            self.start()
            return f"{self.name} started again"
        return None

    def describe_end(self) -> str:
        """Return how the process ended and the last error in its log."""
        self.log.finish()
        status = self.exit_status or 0
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        error = f": {self.log.last_error}" if self.log.last_error else ""
        return f"{self.name} ended ({how}){error} [log: {self.log.path}]"

    def terminate(self) -> None:
        """Send SIGTERM and return at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait(self, timeout_seconds: float) -> None:
        """Wait for the end, and kill the process after the timeout."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.finish()
