"""`slipway local`: run the whole platform on this machine until Ctrl-C."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from slipway_cli import exit_codes
from slipway_cli.client import SlipwayClient
from slipway_cli.console import write_message, write_result
from slipway_cli.local.first_commands import first_commands
from slipway_cli.local.home import Home
from slipway_cli.local.platform import (
    LocalPlatform,
    PlatformOptions,
    ignore_interrupts,
    stop_on_signals,
)
from slipway_cli.local.servers.account import ServerAccount
from slipway_cli.request_errors import RequestFailed
from slipway_cli.shared_options import HomeFolder
from slipway_core.errors import SlipwayError

SUPERVISION_SECONDS = 0.2
"""Interval between looks at the processes of the platform."""
MAX_SHOWN_CHARACTERS = 60
"""Maximum characters of an input that are shown from the prediction log."""


def local(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    home: HomeFolder = None,
    model: Annotated[
        str, typer.Option(help="Folder, archive or URI of a model; default: the demo model.")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Number of batch workers.")] = 1,
) -> None:
    """Run PostgreSQL, Valkey, an inference server and batch workers until Ctrl-C; keep the data."""
    started = time.monotonic()
    options = PlatformOptions(host=host, port=port, model=model, workers=workers)
    stop_on_signals()
    try:
        chosen = Home.choose(home)
        chosen.prepare(ServerAccount.choose())
        with chosen.lock(options.url):
            _run(LocalPlatform(chosen, options, write_message), chosen, started)
    except (SlipwayError, RequestFailed) as error:
        write_message(f"slipway local: {error.message}")
        raise typer.Exit(exit_codes.FAILED) from None


def _run(platform: LocalPlatform, home: Home, started: float) -> None:
    try:
        platform.start()
        _greet(platform.options.url, time.monotonic() - started)
        while True:
            platform.supervise()
            time.sleep(SUPERVISION_SECONDS)
    except KeyboardInterrupt:
        write_message("stopping")
    finally:
        ignore_interrupts()
        platform.stop()
        write_message(f"stopped; the data is kept in {home.folder}")


def _greet(url: str, seconds: float) -> None:
    with SlipwayClient(url) as client:
        health = client.health()
        write_result(
            f"\nSlipway serves {health['model']} {health['version']} at {url} "
            f"(ready in {seconds:.1f} s; API pages: {url}/docs)\n"
        )
        _show_log(client)
    write_result("Try, in another terminal:")
    for line in first_commands(url, health.get("modalities", []), health.get("columns", [])):
        write_result(f"  {line}")
    write_result("\nCtrl-C stops everything and keeps the data.")


def _show_log(client: SlipwayClient) -> None:
    """Show the newest predictions of earlier runs."""
    try:
        rows = client.predictions(limit=3)["predictions"]
    except RequestFailed:
        return
    if rows:
        write_result("Newest of the earlier predictions:")
        for row in rows:
            content = "input not kept"
            if row["input"] is not None:
                content = str(row["input"])[:MAX_SHOWN_CHARACTERS]
            write_result(f"  {row['created_at']}  {row['modality']}  {row['status']}  {content}")
        write_result("")
