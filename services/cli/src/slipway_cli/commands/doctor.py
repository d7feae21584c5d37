"""`slipway doctor`: find what is wrong with this installation, and how to fix it."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from slipway_cli import exit_codes
from slipway_cli.console import Output, write_json, write_result
from slipway_cli.finding import Finding
from slipway_cli.local.home import Home
from slipway_cli.shared_options import DEFAULT_URL, Format, HomeFolder, Url
from slipway_core.errors import SlipwayError
from slipway_core.settings import ServiceSettings

Cluster = Annotated[
    bool, typer.Option("--cluster", help="Check the Kubernetes cluster of the kubeconfig instead.")
]
Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="Kubeconfig for --cluster; by default as kubectl's."),
]
Context = Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")]


def doctor(
    home: HomeFolder = None,
    output: Format = Output.TABLE,
    url: Url = DEFAULT_URL,
    cluster: Cluster = False,
    kubeconfig: Kubeconfig = None,
    context: Context = "",
) -> None:
    """Check this installation, or a cluster; the exit code is 1 when something must be fixed."""
    if cluster:
        findings = _diagnose_cluster(kubeconfig, context)
    else:
        findings = _diagnose(Home.choose(home), url)
    if output is Output.JSON:
        write_json([asdict(finding) for finding in findings])
    else:
        width = max(8, *(len(finding.check) for finding in findings))
        for finding in findings:
            write_result(f"{finding.state:<4}  {finding.check:<{width}}  {finding.message}")
            if finding.remedy:
                write_result(f"{'':<{width + 8}}to fix it: {finding.remedy}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(exit_codes.FAILED)


def _diagnose_cluster(kubeconfig: Path | None, context: str) -> list[Finding]:
    # Imported late: other commands start faster without the client of Kubernetes.
    from slipway_cli.cluster.checks import diagnose_cluster
    from slipway_cli.cluster.reader import ClusterReader, ClusterUnreadable

    try:
        reader = ClusterReader(kubeconfig, context)
    except ClusterUnreadable as error:
        remedy = "set KUBECONFIG, or use --kubeconfig and --context"
        return [Finding("cluster", "fail", str(error), remedy)]
    with closing(reader):
        return diagnose_cluster(reader)


def _diagnose(home: Home, url: str) -> list[Finding]:
    # Imported late: other commands start faster without the database driver.
    from slipway_cli.diagnosis import Installation, diagnose

    try:
        settings = ServiceSettings.load()
    except SlipwayError as error:
        # The other checks need the addresses in the settings.
        return [Finding("settings", "fail", error.message, "correct the variables named there")]
    configured = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    embedded = home.read_service_secret("database_url"), home.read_service_secret("redis_url")
    uses_embedded = not any(configured)
    database_url, redis_url = embedded if uses_embedded else configured
    return diagnose(
        Installation(home, url, database_url, redis_url, uses_embedded, settings.sandbox)
    )
