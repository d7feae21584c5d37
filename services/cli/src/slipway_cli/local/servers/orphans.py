"""Servers that outlived the process that started them, found by their working folder.

A pid file is no proof: after a power loss its number may belong to any process. The servers change
into their data folder, so a process with the right name in that folder is an orphan.
"""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path

import psutil

from slipway_cli.local.servers.errors import EmbeddedServerFailed

STOP_TIMEOUT_SECONDS = 10


def stop_orphans(folder: Path, program: str, stop_signal: signal.Signals) -> None:
    """Stop servers that still use `folder`, with SIGKILL after STOP_TIMEOUT_SECONDS.

    Raises EmbeddedServerFailed when one does not end.
    """
    folder = folder.resolve()
    orphans = _find_orphans(folder, program)
    for number in (stop_signal, signal.SIGKILL):
        for process in orphans:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        _, alive = psutil.wait_procs(orphans, timeout=STOP_TIMEOUT_SECONDS)
        # The server may have started helper processes meanwhile.
        remaining = _find_orphans(folder, program)
        if not alive and not remaining:
            return
        orphans = remaining or alive
    raise EmbeddedServerFailed(
        f"an earlier {program} (process {orphans[0].pid}) still uses {folder} and does not end: "
        f"end it, then start again"
    )


def _find_orphans(folder: Path, program: str) -> list[psutil.Process]:
    orphans = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] == program and Path(process.cwd()) == folder:
                orphans.append(process)
    return orphans
