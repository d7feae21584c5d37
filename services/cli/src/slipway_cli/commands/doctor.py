"""`slipway doctor`: what is wrong with this installation, and how to mend it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipway_cli import exit_codes
from slipway_cli.console import Output, write_json, write_result
from slipway_cli.local.home import Home
from slipway_cli.shared_options import DEFAULT_URL, Format, Url
from slipway_core.errors import SlipwayError
from slipway_core.settings import ServiceSettings

if TYPE_CHECKING:
    from slipway_cli.diagnosis import Finding


def doctor(
    home: Annotated[
        Path | None,
        typer.Option(help="Folder of `slipway local` (SLIPWAY_HOME).", show_default=False),
    ] = None,
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
) -> None:
    """Check what is configured; the exit code is 1 when something must be mended."""
    findings = _find(Home.choose(home), url)
    if output is Output.JSON:
        write_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            write_result(f"{finding.state:<4}  {finding.check:<8}  {finding.message}")
            if finding.remedy:
                write_result(f"{'':<16}to mend it: {finding.remedy}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(exit_codes.FAILED)


def _find(home: Home, url: str) -> list[Finding]:
    # Imported here: the checks bring the database driver, which other commands do without.
    from slipway_cli.diagnosis import Finding, Surroundings, diagnose

    try:
        settings = ServiceSettings.load()
    except SlipwayError as error:
        # They say where the other things are that would be checked.
        return [Finding("settings", "fail", error.message, "correct what is named there")]
    given = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    kept = home.read_service_secret("database_url"), home.read_service_secret("redis_url")
    embedded = not any(given)
    database_url, redis_url = kept if embedded else given
    return diagnose(Surroundings(home, url, database_url, redis_url, embedded))
