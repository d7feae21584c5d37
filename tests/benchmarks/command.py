"""What the benchmarks' commands have in common: they end in order, and say in words what failed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from slipway_core.errors import SlipwayError

FAILED = 1
INTERRUPTED = 130


def run_benchmark(measure: Callable[[], None]) -> int:
    """The exit status of a benchmark. Ctrl-C and SIGTERM stop all that it has started."""
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
