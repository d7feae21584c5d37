"""`python -m slipway_batch`: run a batch worker, or print its settings."""

from __future__ import annotations

import argparse
import sys

from slipway_batch.settings import BatchSettings
from slipway_core.engines.confinement.kernel import hide_from_inspection
from slipway_core.errors import InvalidSettings
from slipway_core.observability.logging import configure_logging


def main() -> int:
    """Return the exit status: 0, 1 when the worker cannot run, 2 when a setting is invalid."""
    parser = argparse.ArgumentParser(prog="slipway-batch", description=__doc__)
    parser.add_argument(
        "--print-settings", action="store_true", help="print every setting with its description"
    )
    arguments = parser.parse_args()
    try:
        settings = BatchSettings.load()
    except InvalidSettings as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    if arguments.print_settings:
        sys.stdout.write(settings.describe() + "\n")
        return 0
    configure_logging(settings.log_level)
    if settings.sandbox != "off":
        hide_from_inspection()
    from slipway_batch.worker import serve  # imported late, so that --print-settings is fast

    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
