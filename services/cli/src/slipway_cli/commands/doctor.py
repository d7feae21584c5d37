"""`slipway doctor`: find what is wrong with this installation, and how to fix it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from slipway_cli import exit_codes
from slipway_cli.console import Output, write_json, write_result
from slipway_cli.local.home import Home
from slipway_cli.shared_options import DEFAULT_URL, Format, HomeFolder, Url
from slipway_core.errors import SlipwayError
from slipway_core.settings import ServiceSettings

if TYPE_CHECKING:
    from slipway_cli.diagnosis import Finding


def doctor(home: HomeFolder = None, output: Format = Output.TABLE, url: Url = DEFAULT_URL) -> None:
    """Check this installation; the exit code is 1 when something must be fixed."""
    findings = _diagnose(Home.choose(home), url)
    if output is Output.JSON:
        write_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            write_result(f"{finding.state:<4}  {finding.check:<8}  {finding.message}")
            if finding.remedy:
                write_result(f"{'':<16}to fix it: {finding.remedy}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(exit_codes.FAILED)


def _diagnose(home: Home, url: str) -> list[Finding]:
    # Imported late: other commands start faster without the database driver.
    from slipway_cli.diagnosis import Finding, Installation, diagnose

    try:
        settings = ServiceSettings.load()
    except SlipwayError as error:
        # The other checks need the addresses in the settings.
        return [Finding("settings", "fail", error.message, "correct the variables named there")]
    configured = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    embedded = home.read_service_secret("database_url"), home.read_service_secret("redis_url")
    uses_embedded = not any(configured)
    database_url, redis_url = embedded if uses_embedded else configured
    return diagnose(Installation(home, url, database_url, redis_url, uses_embedded))
