"""One of Slipway's services as a child process that is started again when it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway_cli.local.log_file import LogFile
from slipway_cli.local.servers.server_process import end_with_parent

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
STEADY_SECONDS = 60.0


class ServiceProcess:
    """A Python module run as a child; its log goes to `logs/<name>.log`.

    After a death it waits FIRST_DELAY_SECONDS, then twice as long each time; a child that ran for
    STEADY_SECONDS begins at the first delay again.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], logs: Path
    ) -> None:
        self.name = name
        self.log = LogFile(logs / f"{name}.log")
        self._command = [*end_with_parent(signal.SIGTERM), sys.executable, "-m", *arguments]
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._delay = FIRST_DELAY_SECONDS
        self._start_again_at: float | None = None

    @property
    def exit_status(self) -> int | None:
        """How the child ended; None while it runs."""
        return self._process.poll() if self._process else None

    def start(self) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours
            self._command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for the supervisor, which stops children in order.
            start_new_session=True,
        )
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        self.log.follow(self._process.stdout)

    def tend(self) -> str | None:
        """Start a dead child again when its delay is over; what to tell the user, if any."""
        if self.exit_status is None:
            return None
        now = time.monotonic()
        if self._start_again_at is None:
            if now - self._started > STEADY_SECONDS:
                self._delay = FIRST_DELAY_SECONDS
            self._start_again_at = now + self._delay
            told = f"{self.describe_end()}; starting it again in {self._delay:g} s"
            self._delay = min(self._delay * 2, LONGEST_DELAY_SECONDS)
            return told
        if now >= self._start_again_at:
            self._start_again_at = None
            self.start()
            return f"{self.name} started again"
        return None

    def describe_end(self) -> str:
        """How the child died and what its log says about it."""
        self.log.finish()
        status = self.exit_status or 0
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        said = f": {self.log.last_error}" if self.log.last_error else ""
        return f"{self.name} ended ({how}){said} [log: {self.log.path}]"

    def ask_to_stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def wait_stopped(self, timeout_seconds: float) -> None:
        """Wait for the end; kill the child when it takes longer."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.log.finish()
