"""Servers that outlived the process that started them, found by the folder they work in.

A pid file alone proves nothing: after a power loss the number may belong to anybody. The servers
change into their data folder, so a process of that name in that folder is a left-over one.
"""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psutil

from slipway_cli.local.servers.errors import EmbeddedServerFailed


def find_leftovers(folder: Path, program: str) -> list[psutil.Process]:
    """The running processes named `program` whose working folder is `folder`."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == program and Path(process.cwd()) == folder:
                found.append(process)
    return found


def stop_leftovers(folder: Path, program: str, polite: signal.Signals) -> int:
    """End left-over servers: politely at first, by force after 10 seconds. Returns how many.

    Raises EmbeddedServerFailed when one cannot be ended.
    """
    folder = folder.resolve()
    found = find_leftovers(folder, program)
    for number in (polite, signal.SIGKILL):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _, alive = psutil.wait_procs(found, timeout=10)
        # Helpers of the server may have been started meanwhile.
        remaining = find_leftovers(folder, program)
        if not alive and not remaining:
            return len(found)
        found = remaining or alive
    raise EmbeddedServerFailed(
        f"an earlier {program} (process {found[0].pid}) still uses {folder} and does not end: "
        f"end it, then start again"
    )
