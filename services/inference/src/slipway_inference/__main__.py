"""`python -m slipway_inference`: run the server, or print its settings or its API document."""

from __future__ import annotations

import argparse
import sys

from slipway_core.engines.confinement.kernel import hide_from_inspection
from slipway_core.errors import InvalidSettings
from slipway_core.observability.logging import configure_logging
from slipway_inference.settings import InferenceSettings


def main() -> int:
    """Run the server, or print what an option asks for.

    Returns the exit status: 0, 1 when the model cannot be served, 2 when a setting is wrong.
    """
    parser = argparse.ArgumentParser(prog="slipway-inference", description=__doc__)
    parser.add_argument(
        "--print-settings", action="store_true", help="show every setting and what it is"
    )
    parser.add_argument(
        "--openapi", action="store_true", help="write the API document to standard output"
    )
    arguments = parser.parse_args()
    if arguments.openapi:
        sys.stdout.write(_api_document())
        return 0
    try:
        settings = InferenceSettings.load()
    except InvalidSettings as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    if arguments.print_settings:
        sys.stdout.write(settings.describe() + "\n")
        return 0
    configure_logging(settings.log_level)
    if settings.sandbox != "off":
        hide_from_inspection()
    from slipway_inference.server import serve

    return serve(settings)


def _api_document() -> str:
    import orjson

    from slipway_inference.app import Components, create_api

    api = create_api(Components.create(InferenceSettings.model_construct()))
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(api.openapi(), option=options).decode()


if __name__ == "__main__":
    sys.exit(main())
