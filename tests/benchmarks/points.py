"""The loads that are applied to every server, and their measurement."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx2
from tests.benchmarks.limit import InProcess
from tests.benchmarks.load import BenchmarkFailed, Load, LoadResult, Target, run_load
from tests.benchmarks.report import Spread, progress

MAX_RECOVERY_SECONDS = 60
MAX_PAUSE_SECONDS = 10
"""Maximum pause before a load. A server that stays slow for longer is measured as it is."""
NORMAL_IN_A_ROW = 5
USUAL_SAMPLE = 20


@dataclass(frozen=True)
class Point:
    """A load: a number of clients, and the number of texts in each of their requests.

    `window` is the number of texts in flight when its limit is measured (default: `clients`).
    """

    clients: int
    texts_per_request: int = 1
    window: int = 0

    @property
    def name(self) -> str:
        """The name of the point in tables."""
        if self.texts_per_request == 1:
            return str(self.clients)
        return f"{self.clients} x {self.texts_per_request} texts"

    @property
    def in_flight(self) -> int:
        return self.window or self.clients


POINTS = (
    Point(1),
    Point(8),
    Point(32),
    Point(64),
    Point(256, window=64),
    Point(4, texts_per_request=32, window=64),
)


@dataclass
class Measured:
    """The repetitions of a point: the loads, and the limits measured before each, if any."""

    point: Point
    loads: list[LoadResult] = field(default_factory=list)
    in_process: list[InProcess] = field(default_factory=list)

    @property
    def rate(self) -> Spread:
        """The texts per second of the server."""
        return Spread.of([self._texts(load) for load in self.loads])

    @property
    def limit(self) -> Spread:
        """The texts per second that the machine computes in process."""
        return Spread.of([rates.limit for rates in self.in_process])

    @property
    def percent_of_limit(self) -> Spread:
        """Each load relative to the limit that was measured just before it."""
        return self._percent_of([rates.limit for rates in self.in_process])

    @property
    def percent_of_one_process(self) -> Spread:
        """Each load relative to one process on all cores."""
        return self._percent_of([rates.one_process for rates in self.in_process])

    @property
    def p50_ms(self) -> Spread:
        return Spread.of([load.p50_ms for load in self.loads])

    @property
    def p99_ms(self) -> Spread:
        return Spread.of([load.p99_ms for load in self.loads])

    @property
    def failed(self) -> int:
        return sum(load.failed for load in self.loads)

    def _percent_of(self, rates: Sequence[float]) -> Spread:
        pairs = zip(self.loads, rates, strict=True)
        return Spread.of([100 * self._texts(load) / rate for load, rate in pairs])

    def _texts(self, load: LoadResult) -> float:
        return load.requests_per_second * self.point.texts_per_request


def points_of(target: Target) -> list[Point]:
    """Return the points that the server supports."""
    lists = target.body_of_list is not None
    return [point for point in POINTS if lists or point.texts_per_request == 1]


def measure_points(
    target: Target,
    texts: Sequence[str],
    *,
    seconds: int,
    repeats: int,
    limit_of: Callable[[Point], InProcess] | None = None,
) -> list[Measured]:
    """Measure all points, round by round. With `limit_of`, measure the limit before each load.

    The results of a first, short round are dropped, because some servers compile during it. Each
    load begins when the server has recovered from the previous one, or after a maximum pause.
    """
    measured = [Measured(point) for point in points_of(target)]
    usual = usual_seconds(target, texts[0])
    for number in range(repeats + 1):
        for result in measured:
            point = result.point
            load = Load(point.clients, seconds if number else 1, point.texts_per_request)
            seconds_to_normal(target, texts[0], usual, max_seconds=MAX_PAUSE_SECONDS)
            if not number:
                run_load(target, texts, load)
                continue
            if limit_of is not None:
                result.in_process.append(limit_of(point))
            result.loads.append(run_load(target, texts, load))
            limit = f", limit {result.in_process[-1].limit:.0f}" if result.in_process else ""
            progress(
                f"  {target.name}, round {number}, {point.name}: "
                f"{result.loads[-1].requests_per_second:.0f} requests/s{limit}"
            )
    return measured


def usual_seconds(target: Target, text: str) -> float:
    """Return the median seconds of a single request while the server is otherwise idle."""
    with httpx2.Client(timeout=MAX_RECOVERY_SECONDS) as client:
        times = sorted(_time_request(client, target, text) for _ in range(USUAL_SAMPLE))
    return times[len(times) // 2]


def seconds_to_normal(
    target: Target, text: str, usual: float, max_seconds: float = MAX_RECOVERY_SECONDS
) -> float:
    """Return how long after a load single requests take more than twice the usual time.

    The time ends with the first of several normal requests in a row. It is infinite when that takes
    longer than `max_seconds`.
    """
    began = time.perf_counter()
    normal, normal_since = 0, 0.0
    with httpx2.Client(timeout=MAX_RECOVERY_SECONDS) as client:
        while normal < NORMAL_IN_A_ROW:
            elapsed = time.perf_counter() - began
            if elapsed > max_seconds:
                return float("inf")
            if _time_request(client, target, text) > 2 * usual:
                normal = 0
                continue
            normal += 1
            if normal == 1:
                normal_since = elapsed
    return normal_since


def _time_request(client: httpx2.Client, target: Target, text: str) -> float:
    """Return the seconds of a request; infinite if it does not succeed."""
    began = time.perf_counter()
    try:
        response = client.post(target.url, json=target.body_of_one(text))
    except httpx2.TransportError as error:
        raise BenchmarkFailed(f"{target.name} does not respond: {error}") from None
    return time.perf_counter() - began if response.status_code == 200 else float("inf")
