"""`slipway local`: the whole platform on this machine until Ctrl-C."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from slipway_cli import exit_codes
from slipway_cli.client import SlipwayClient
from slipway_cli.console import tell, write_result
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
from slipway_core.errors import SlipwayError


def local(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to serve on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to serve on.")] = "127.0.0.1",
    home: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps everything (SLIPWAY_HOME).", show_default=False),
    ] = None,
    model: Annotated[
        str, typer.Option(help="Folder, archive or address of a model; default: the demo model.")
    ] = "",
    workers: Annotated[int, typer.Option(min=0, max=64, help="Batch workers.")] = 1,
) -> None:
    """Run PostgreSQL, Valkey, an inference server and batch workers until Ctrl-C; keep the data."""
    began = time.monotonic()
    options = PlatformOptions(host=host, port=port, model=model, workers=workers)
    stop_on_signals()
    try:
        chosen = Home.choose(home)
        chosen.prepare(ServerAccount.choose())
        with chosen.lock(options.url):
            _run(LocalPlatform(chosen, options, tell), chosen, began)
    except (SlipwayError, RequestFailed) as error:
        tell(f"slipway local: {error.message}")
        raise typer.Exit(exit_codes.FAILED) from None


def _run(platform: LocalPlatform, home: Home, began: float) -> None:
    try:
        platform.start()
        _greet(platform.options.url, time.monotonic() - began)
        while True:
            platform.watch()
            time.sleep(0.2)
    except KeyboardInterrupt:
        tell("stopping")
    finally:
        ignore_interrupts()
        platform.stop()
        tell(f"stopped; the data is kept in {home.folder}")


def _greet(url: str, seconds: float) -> None:
    with SlipwayClient(url) as client:
        health = client.health()
        write_result(
            f"\nSlipway serves {health['model']} {health['version']} at {url} "
            f"(ready in {seconds:.1f} s; API pages: {url}/docs)\n"
        )
        _show_earlier(client)
    write_result("Try, in another terminal:")
    for line in first_commands(url, health.get("modalities", []), health.get("columns", [])):
        write_result(f"  {line}")
    write_result("\nCtrl-C stops everything and keeps the data.")


def _show_earlier(client: SlipwayClient) -> None:
    try:
        rows = client.predictions(limit=3)["predictions"]
    except RequestFailed:
        return
    if rows:
        write_result("Newest of the earlier predictions:")
        for row in rows:
            given = str(row["input"])[:60] if row["input"] is not None else "input not kept"
            write_result(f"  {row['created_at']}  {row['modality']}  {row['status']}  {given}")
        write_result("")
