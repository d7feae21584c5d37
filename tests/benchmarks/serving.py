"""`make bench`: measure Slipway relative to the limit of this machine, and other servers.

    python -m tests.benchmarks.serving [--peers "mlserver kserve"] [--seconds 5] [--repeats 3]

Writes its tables into docs/performance.md, unless --no-write is given.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from tests.benchmarks import serving_tables
from tests.benchmarks.command import run_benchmark
from tests.benchmarks.limit import InProcess, Layout, Limit, open_limit
from tests.benchmarks.load import Load, LoadResult, Target, run_load
from tests.benchmarks.local_slipway import RunningSlipway, run_slipway
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.memory import tree_mebibytes
from tests.benchmarks.peer_servers import PEERS, measure_peer
from tests.benchmarks.points import (
    Measured,
    Point,
    measure_points,
    seconds_to_normal,
    usual_seconds,
)
from tests.benchmarks.report import progress, publish
from tests.benchmarks.texts import lognormal_texts

TEXTS = 1000
OVERLOAD_CLIENTS = 256
SHORT_DEADLINE_MS = 500
OPEN_LOOP_CLIENTS = 128
OPEN_LOOP_SHARE = 0.7


@dataclass(frozen=True)
class Overload:
    """The result of more clients than the server can serve at once."""

    deadline_ms: int
    result: LoadResult
    seconds_to_normal: float


@dataclass(frozen=True)
class OpenLoop:
    """The result of requests at random times, at a share of the server's capacity."""

    rate: float
    result: LoadResult


@dataclass(frozen=True)
class SlipwayResult:
    """All measurements of Slipway."""

    configuration: str
    points: list[Measured]
    overloads: list[Overload]
    open_loop: OpenLoop
    mebibytes: float


def main() -> int:
    """Measure, print and write the tables. Returns the exit status."""
    options = _parse()
    return run_benchmark(lambda: _measure(options))


def _measure(options: argparse.Namespace) -> None:
    texts = lognormal_texts(TEXTS)
    slipway = _measure_slipway(options, texts)
    machine = describe_machine()
    write = not options.no_write
    publish("serving", serving_tables.serving_section(slipway, machine), write=write)
    if options.peers:
        peers = [
            measure_peer(name, texts, seconds=options.seconds, repeats=options.repeats)
            for name in options.peers.split()
        ]
        publish("peers", serving_tables.peers_section(slipway, peers, machine), write=write)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--peers", default="", help=f"other servers to measure, of {' '.join(PEERS)}"
    )
    parser.add_argument("--seconds", type=int, default=5, help="duration of each load")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of each load")
    parser.add_argument("--open-seconds", type=int, default=30, help="duration of the open loop")
    parser.add_argument("--no-write", action="store_true", help="only print the tables")
    options = parser.parse_args()
    unknown = set(options.peers.split()) - set(PEERS)
    if unknown:
        parser.error(
            f"unknown servers {', '.join(sorted(unknown))}: choose from {', '.join(PEERS)}"
        )
    return options


def _measure_slipway(options: argparse.Namespace, texts: Sequence[str]) -> SlipwayResult:
    progress("starting Slipway")
    with run_slipway() as slipway:
        own = Layout(slipway.engines, int(slipway.engine["threads"]))
        with open_limit(options.seconds, also=own) as limit:
            points = measure_points(
                slipway.target,
                texts,
                seconds=options.seconds,
                repeats=options.repeats,
                limit_of=lambda point: _limit_of(limit, own, point),
            )
        overloads = [
            _overload(slipway.target, texts, options.seconds, deadline_ms)
            for deadline_ms in (0, SHORT_DEADLINE_MS)
        ]
        return SlipwayResult(
            configuration=slipway.describe(),
            points=points,
            overloads=overloads,
            open_loop=_open_loop(slipway, texts, points, options.open_seconds),
            mebibytes=tree_mebibytes(slipway.inference_pid),
        )


def _limit_of(limit: Limit, own: Layout, point: Point) -> InProcess:
    """Measure the limit: on one engine's threads for a single client, else on all cores."""
    return limit.measure_with_one_process(point.in_flight, own if point.in_flight == 1 else None)


def _overload(target: Target, texts: Sequence[str], seconds: int, deadline_ms: int) -> Overload:
    usual = usual_seconds(target, texts[0])
    load = Load(OVERLOAD_CLIENTS, seconds, timed=True, deadline_ms=deadline_ms)
    progress(f"  {target.name}, overload, deadline {deadline_ms or 'default'}")
    result = run_load(target, texts, load)
    return Overload(deadline_ms, result, seconds_to_normal(target, texts[0], usual))


def _open_loop(
    slipway: RunningSlipway, texts: Sequence[str], points: Sequence[Measured], seconds: int
) -> OpenLoop:
    capacity = max(each.rate.median for each in points if each.point.texts_per_request == 1)
    rate = OPEN_LOOP_SHARE * capacity
    progress(f"  {slipway.target.name}, open loop of {rate:.0f} requests/s")
    load = Load(OPEN_LOOP_CLIENTS, seconds, rate=rate, timed=True)
    return OpenLoop(rate, run_load(slipway.target, texts, load))


if __name__ == "__main__":
    sys.exit(main())
