"""Run a benchmark as a command, which cleans up and explains failures in one line."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from slipway_core.errors import SlipwayError

FAILED = 1
INTERRUPTED = 130


def run_benchmark(measure: Callable[[], None]) -> int:
    """Run a benchmark and return its exit status. Ctrl-C and SIGTERM stop all that it started."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        measure()
    except SlipwayError as error:
        sys.stderr.write(f"{error.message}\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return INTERRUPTED
    return 0
