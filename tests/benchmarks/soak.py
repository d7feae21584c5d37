"""`make bench-soak`: measure memory over time under texts of all lengths.

python -m tests.benchmarks.soak [--minutes 10] [--clients 32]
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.command import run_benchmark
from tests.benchmarks.load import Load, run_load
from tests.benchmarks.local_slipway import run_slipway
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.memory import MemoryWatch
from tests.benchmarks.report import make_table, progress, publish
from tests.benchmarks.texts import lognormal_texts

TEXTS = 20_000  # enough that batches do not repeat
SAMPLE_SECONDS = 5
REFERENCE_SECONDS = 120
TREE = "inference"


def main() -> int:
    """Measure, print and write the table. Returns the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--no-write", action="store_true", help="only print the table")
    options = parser.parse_args()

    def measure() -> None:
        content = _measure(options.clients, round(options.minutes * 60))
        publish("soak", content, write=not options.no_write)

    return run_benchmark(measure)


def _measure(clients: int, seconds: int) -> str:
    with run_slipway() as slipway:
        progress(f"{clients} clients for {seconds} s")
        with MemoryWatch({TREE: slipway.inference_pid}, SAMPLE_SECONDS) as memory:
            result = run_load(slipway.target, lognormal_texts(TEXTS), Load(clients, seconds))
        configuration = slipway.describe()
    reference = min(REFERENCE_SECONDS, seconds / 2)
    early, late = memory.at(TREE, reference), memory.at(TREE, seconds)
    parts = [seconds * share for share in (0, 0.1, 0.25, 0.5, 0.75, 1)]
    return "\n\n".join(
        (
            f"{describe_machine()}. Slipway: {configuration}.",
            f"{clients} clients for {seconds / 60:g} minutes, {result.requests_per_second:.0f} "
            f"requests/s, {result.failed} failed. The inference server and its engines used "
            f"{early:.0f} MiB after {reference:.0f} s and {late:.0f} MiB at the end "
            f"({late - early:+.0f} MiB), with a peak of {memory.peak(TREE):.0f} MiB.",
            make_table(
                ("after", *(f"{part:.0f} s" for part in parts)),
                [("MiB", *(f"{memory.at(TREE, part):.0f}" for part in parts))],
            ),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
