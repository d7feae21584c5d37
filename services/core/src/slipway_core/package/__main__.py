"""`python -m slipway_core.package fetch`: fetch and verify the model of SLIPWAY_MODEL_URI.

The package is stored in SLIPWAY_MODEL_CACHE, where a server that starts later finds it. Run it as
a process of its own, so that credentials for the download need not be where the server runs.
"""

from __future__ import annotations

import argparse
import sys

import structlog

from slipway_core.errors import InvalidSettings, ModelError
from slipway_core.observability.logging import configure_logging
from slipway_core.package.resolve import resolve_configured
from slipway_core.settings import ServiceSettings

log = structlog.get_logger("slipway.package")


def main() -> int:
    """Return the exit status: 1 when the package cannot be fetched, 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(prog="slipway_core.package", description=__doc__)
    parser.add_argument("command", choices=["fetch"], help="fetch and verify the model")
    parser.parse_args()
    try:
        settings = ServiceSettings.load()
    except InvalidSettings as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    configure_logging(settings.log_level)
    try:
        package = resolve_configured(settings, offline=False)
    except ModelError as error:
        log.error("the model cannot be fetched", code=error.code, cause=error.message)
        return 1
    log.info(
        "the model is in the cache", folder=str(package.folder), digest=package.manifest.digest
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
