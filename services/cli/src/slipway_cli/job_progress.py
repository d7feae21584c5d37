"""The progress of a batch job in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from slipway_cli.client import SlipwayClient


def watch_job(client: SlipwayClient, task_id: str) -> dict[str, Any]:
    """Wait for the end of a job, with a progress bar on a terminal; return its last progress."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    progress: dict[str, Any] = {}
    with bar:
        task = bar.add_task("queued", total=None)
        for progress in client.watch(task_id):
            failed = f", {progress['failed']} failed" if progress["failed"] else ""
            bar.update(
                task,
                description=progress["status"] + failed,
                total=progress["total"],
                completed=progress["succeeded"] + progress["failed"],
            )
    return progress
