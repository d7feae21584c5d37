"""Shows how far a batch job is while it runs."""

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
    """Wait for the end of the job, with a bar where somebody watches; its last progress."""
    console = Console(stderr=True)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )
    last: dict[str, Any] = {}
    with progress:
        bar = progress.add_task("queued", total=None)
        for last in client.watch(task_id):
            failed = f", {last['failed']} failed" if last["failed"] else ""
            progress.update(
                bar,
                description=last["status"] + failed,
                total=last["total"],
                completed=last["succeeded"] + last["failed"],
            )
    return last
