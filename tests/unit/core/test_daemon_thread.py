"""Blocking work that does not keep a process alive."""

from __future__ import annotations

import subprocess
import sys

import pytest

from slipway_core.tasks import run_in_daemon_thread

ENDS_WHILE_WORKING = """
import asyncio, threading
from slipway_core.tasks import run_in_daemon_thread

async def main():
    began = threading.Event()

    def work():
        began.set()
        threading.Event().wait()

    task = asyncio.create_task(run_in_daemon_thread(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

asyncio.run(main())
print("ended")
"""


async def test_the_result_of_the_work_is_returned() -> None:
    assert await run_in_daemon_thread(lambda: 42) == 42


async def test_an_exception_of_the_work_is_raised() -> None:
    def work() -> None:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        await run_in_daemon_thread(work)


def test_a_process_exits_before_the_work_ends() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", ENDS_WHILE_WORKING],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ended.stdout == "ended\n"
