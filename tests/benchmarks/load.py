"""Drive a server with wrk, and parse the measurements of wrk.

wrk and its Lua script take a few percent of a core, regardless of the server. wrk itself supports a
closed loop only; the script adds the open loop.
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
MAX_RESPONSE_SECONDS = 60
MICROSECONDS = 1_000_000

Body = Callable[[Sequence[str]], Any]


class BenchmarkFailed(SlipwayError):
    """A measurement failed. The message names the remedy."""


@dataclass(frozen=True)
class Target:
    """The URL to which texts are posted, and the functions that make the JSON bodies.

    `body_of_list` is None when the server accepts only one text per request.
    """

    name: str
    url: str
    body_of_one: Callable[[str], Any]
    body_of_list: Body | None = None


@dataclass(frozen=True)
class Load:
    """How to drive a target.

    `rate` is the number of requests per second of an open loop, which arrive at random times. 0
    means the closed loop, in which each client sends its next request when it has received the
    response. `timed` records the latency of each response, without those of rejected requests. Only
    Slipway supports this.
    """

    clients: int
    seconds: int
    texts_per_request: int = 1
    rate: float = 0
    timed: bool = False
    deadline_ms: int = 0


@dataclass(frozen=True)
class LoadResult:
    """Counts and latencies of a load.

    `succeeded` counts the responses with status 200, whose latencies are recorded, and `rejected`
    those with 429.
    """

    seconds: float
    succeeded: int
    rejected: int
    failed: int
    p50_ms: float
    p99_ms: float
    latencies_ms: tuple[float, ...] = ()

    @property
    def requests_per_second(self) -> float:
        return self.succeeded / self.seconds

    @property
    def rejected_share(self) -> float:
        """The share of rejected requests in all that succeeded or were rejected."""
        return self.rejected / max(1, self.succeeded + self.rejected)

    @property
    def drift(self) -> float:
        """The median latency of the last third divided by that of the first; NaN if not timed."""
        third = len(self.latencies_ms) // 3
        if not third:
            return float("nan")
        first, last = self.latencies_ms[:third], self.latencies_ms[-third:]
        return statistics.median(last) / statistics.median(first)


class _WrkResult(msgspec.Struct):
    microseconds: int
    requests: int
    bad_status: int
    broken: int
    p50: int
    p99: int
    other_statuses: dict[str, int]
    latencies: list[int]


def run_load(target: Target, texts: Sequence[str], load: Load) -> LoadResult:
    """Drive the target for `load.seconds`. Raises BenchmarkFailed when wrk fails."""
    with open_load(target, texts, load) as wrk:
        output, _ = wrk.communicate(timeout=load.seconds + 2 * MAX_RESPONSE_SECONDS)
    return parse_output(output, timed=load.timed)


@contextmanager
def open_load(target: Target, texts: Sequence[str], load: Load) -> Iterator[subprocess.Popen[str]]:
    """Start wrk, yield its process, and kill it at the end of the `with` block."""
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
    """Parse the line that wrk.lua printed. Raises BenchmarkFailed when there is none."""
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise BenchmarkFailed(f"wrk printed no result:\n{output[-2000:]}")
    printed = msgspec.json.decode(line.removeprefix("RESULT "), type=_WrkResult)
    seconds = printed.microseconds / MICROSECONDS
    if not timed:
        return LoadResult(
            seconds=seconds,
            succeeded=printed.requests - printed.bad_status,
            rejected=0,
            failed=printed.bad_status + printed.broken,
            p50_ms=printed.p50 / 1000,
            p99_ms=printed.p99 / 1000,
        )
    latencies = tuple(time / 1000 for time in printed.latencies)
    rejected = printed.other_statuses.get("429", 0)
    return LoadResult(
        seconds=seconds,
        succeeded=len(latencies),
        rejected=rejected,
        failed=sum(printed.other_statuses.values()) - rejected + printed.broken,
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        latencies_ms=latencies,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the smallest value that `percent` % of the values do not exceed; 0 without values."""
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
        raise BenchmarkFailed(f"{target.name} accepts only one text per request")
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
        f"--timeout={MAX_RESPONSE_SECONDS}s",
        "-s",
        str(SCRIPT),
        *deadline,
        target.url,
        "--",
        bodies,
        str(load.rate),
        "timed" if load.timed else "plain",
    ]
