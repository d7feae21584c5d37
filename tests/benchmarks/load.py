"""Drives a server with wrk and reads what wrk measured.

The generator is a C program with a Lua script beside it: a few percent of a core, whatever the
server is. wrk measures a closed loop by itself; the open loop is the script's.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from slipway_core.errors import SlipwayError

SCRIPT = Path(__file__).with_name("wrk.lua")
LONGEST_ANSWER_SECONDS = 60
MICROSECONDS = 1_000_000

Body = Callable[[Sequence[str]], Any]


class BenchmarkFailed(SlipwayError):
    """A measurement could not be made; the message says what to do."""


@dataclass(frozen=True)
class Target:
    """Where a server takes texts: the whole URL, and the JSON of a request with these texts.

    `body_of_list` is None when the server has no requests of several texts.
    """

    name: str
    url: str
    body_of_one: Callable[[str], Any]
    body_of_list: Body | None = None


@dataclass(frozen=True)
class Load:
    """How to drive a target.

    `rate` is requests per second of an open loop whose requests come at random times; 0 is the
    closed loop: each client sends as soon as it has its answer. `timed` keeps the time of every
    single answer, apart from refusals; only Slipway can be driven so.
    """

    clients: int
    seconds: int
    texts_per_request: int = 1
    rate: float = 0
    timed: bool = False
    deadline_ms: int = 0


@dataclass(frozen=True)
class LoadResult:
    """What came back. Times are of answers with status 200; `refused` are those with 429."""

    seconds: float
    answered: int
    refused: int
    failed: int
    p50_ms: float
    p99_ms: float
    latencies_ms: tuple[float, ...] = ()

    @property
    def requests_per_second(self) -> float:
        return self.answered / self.seconds

    @property
    def refused_share(self) -> float:
        """Of all that got an answer."""
        return self.refused / max(1, self.answered + self.refused)

    @property
    def drift(self) -> float:
        """The median time of the last third over that of the first; needs a timed load."""
        third = len(self.latencies_ms) // 3
        if not third:
            return float("nan")
        first, last = self.latencies_ms[:third], self.latencies_ms[-third:]
        return statistics.median(last) / statistics.median(first)


class _Printed(msgspec.Struct):
    microseconds: int
    requests: int
    bad_status: int
    broken: int
    p50: int
    p99: int
    other_statuses: dict[str, int]
    latencies: list[int]


def run_load(target: Target, texts: Sequence[str], load: Load) -> LoadResult:
    """Drive the target for `load.seconds`; raises BenchmarkFailed when wrk cannot."""
    with open_load(target, texts, load) as wrk:
        output, _ = wrk.communicate(timeout=load.seconds + 2 * LONGEST_ANSWER_SECONDS)
    return parse_output(output, timed=load.timed)


@contextmanager
def open_load(target: Target, texts: Sequence[str], load: Load) -> Iterator[subprocess.Popen[str]]:
    """wrk while it runs, for what is to be watched meanwhile; ended at the end of the `with`."""
    with tempfile.NamedTemporaryFile(suffix=".ndjson") as file:
        file.writelines(msgspec.json.encode(body) + b"\n" for body in _bodies(target, texts, load))
        file.flush()
        wrk = subprocess.Popen(
            _command(target, load, file.name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield wrk
        finally:
            wrk.kill()
            wrk.wait()


def parse_output(output: str, *, timed: bool) -> LoadResult:
    """The result that wrk.lua printed among wrk's own lines; raises BenchmarkFailed without it."""
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchmarkFailed(f"wrk gave no result:\n{output[-2000:]}")
    printed = msgspec.json.decode(line.removeprefix("RESULT "), type=_Printed)
    seconds = printed.microseconds / MICROSECONDS
    if not timed:
        return LoadResult(
            seconds=seconds,
            answered=printed.requests - printed.bad_status,
            refused=0,
            failed=printed.bad_status + printed.broken,
            p50_ms=printed.p50 / 1000,
            p99_ms=printed.p99 / 1000,
        )
    latencies = tuple(time / 1000 for time in printed.latencies)
    refused = printed.other_statuses.get("429", 0)
    return LoadResult(
        seconds=seconds,
        answered=len(latencies),
        refused=refused,
        failed=sum(printed.other_statuses.values()) - refused + printed.broken,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        latencies_ms=latencies,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` % of the values do not exceed; 0 without any."""
    if not values:
        return 0.0
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _bodies(target: Target, texts: Sequence[str], load: Load) -> Iterator[Any]:
    size = load.texts_per_request
    if size == 1:
        yield from map(target.body_of_one, texts)
        return
    if target.body_of_list is None:
        raise BenchmarkFailed(f"{target.name} takes one text in a request")
    for start in range(0, len(texts) - size + 1, size):
        yield target.body_of_list(texts[start : start + size])


def _command(target: Target, load: Load, bodies: str) -> list[str]:
    wrk = shutil.which("wrk")
    if wrk is None:
        raise BenchmarkFailed(
            "wrk is not installed: `apt install wrk` on Debian and Ubuntu, `brew install wrk` on "
            "macOS"
        )
    deadline = ["-H", f"X-Request-Timeout-Ms: {load.deadline_ms}"] if load.deadline_ms else []
    return [
        wrk,
        "-t1",
        f"-c{load.clients}",
        f"-d{load.seconds}s",
        f"--timeout={LONGEST_ANSWER_SECONDS}s",
        "-s",
        str(SCRIPT),
        *deadline,
        target.url,
        "--",
        bodies,
        str(load.rate),
        "timed" if load.timed else "plain",
    ]
