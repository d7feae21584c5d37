"""The `slipway` command."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from slipway_cli.commands import batch
from slipway_cli.commands.demo import demo
from slipway_cli.commands.doctor import doctor
from slipway_cli.commands.local import local
from slipway_cli.commands.predict import predict

app = typer.Typer(
    name="slipway",
    help="Serve PyTorch models: realtime predictions and durable batch jobs.",
    epilog=(
        "Exit codes: 0 success; 1 a failed item, check or start; 2 wrong usage, or a file that "
        "cannot be used; 3 the service rejected the request; 4 the service is unavailable, try "
        "again; 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(local)
app.command()(demo)
app.command()(predict)
app.add_typer(batch.app, name="batch")
app.command()(doctor)


def _print_version(is_set: bool) -> None:
    if is_set:
        typer.echo(f"slipway {version('slipway-cli')}")
        raise typer.Exit


@app.callback()
def slipway(
    show_version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Serve PyTorch models: realtime predictions and durable batch jobs."""


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
