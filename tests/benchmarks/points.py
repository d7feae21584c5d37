"""The loads that every server gets, and what is measured under them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx2
from tests.benchmarks.limit import InProcess
from tests.benchmarks.load import BenchmarkFailed, Load, LoadResult, Target, run_load
from tests.benchmarks.report import Spread, progress

LONGEST_RECOVERY_SECONDS = 60
LONGEST_PAUSE_SECONDS = 10
"""Before the next load: a server that stays slow for longer is measured as it is."""
NORMAL_IN_A_ROW = 5
USUAL_SAMPLE = 20


@dataclass(frozen=True)
class Point:
    """So many clients, each sending so many texts in a request.

    `window` is how many texts are in flight when the limit is measured beside it.
    """

    clients: int
    texts_per_request: int = 1
    window: int = 0

    @property
    def name(self) -> str:
        """As in the tables."""
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
    """The repeats of one point: the loads, and what was computed in process before each of them
    (when that was measured).
    """

    point: Point
    loads: list[LoadResult] = field(default_factory=list)
    in_process: list[InProcess] = field(default_factory=list)

    @property
    def rate(self) -> Spread:
        """Texts a second of the server."""
        return Spread.of([self._texts(load) for load in self.loads])

    @property
    def limit(self) -> Spread:
        """Texts a second that the machine computes in process."""
        return Spread.of([one.limit for one in self.in_process])

    @property
    def percent_of_limit(self) -> Spread:
        """Each load against the limit that was measured just before it."""
        return self._percent_of([one.limit for one in self.in_process])

    @property
    def percent_of_one_process(self) -> Spread:
        """The same against one process on all threads."""
        return self._percent_of([one.one_process for one in self.in_process])

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
    """Those that the server can be given."""
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
    """All points, round after round; with `limit_of` the limit is measured before each load.

    A round before the others, whose results are dropped, lets servers compile what they compile.
    Each load begins when the server has worked off the one before, if it does so soon.
    """
    measured = [Measured(point) for point in points_of(target)]
    usual = usual_seconds(target, texts[0])
    for turn in range(repeats + 1):
        for one in measured:
            point = one.point
            load = Load(point.clients, seconds if turn else 1, point.texts_per_request)
            seconds_to_normal(target, texts[0], usual, longest=LONGEST_PAUSE_SECONDS)
            if not turn:
                run_load(target, texts, load)
                continue
            if limit_of is not None:
                one.in_process.append(limit_of(point))
            one.loads.append(run_load(target, texts, load))
            share = f", limit {one.in_process[-1].limit:.0f}" if one.in_process else ""
            progress(
                f"  {target.name}, round {turn}, {point.name}: "
                f"{one.loads[-1].requests_per_second:.0f} requests/s{share}"
            )
    return measured


def usual_seconds(target: Target, text: str) -> float:
    """The median time of a single request while nothing else is asked."""
    with httpx2.Client(timeout=LONGEST_RECOVERY_SECONDS) as client:
        times = sorted(_time_one(client, target, text) for _ in range(USUAL_SAMPLE))
    return times[len(times) // 2]


def seconds_to_normal(
    target: Target, text: str, usual: float, longest: float = LONGEST_RECOVERY_SECONDS
) -> float:
    """How long single requests, one after the other, take more than twice the usual time.

    Call it when a load has ended. The time runs until the first of several normal ones in a row;
    infinite when that does not come within `longest` seconds.
    """
    began = time.perf_counter()
    normal, normal_since = 0, 0.0
    with httpx2.Client(timeout=LONGEST_RECOVERY_SECONDS) as client:
        while normal < NORMAL_IN_A_ROW:
            asked = time.perf_counter() - began
            if asked > longest:
                return float("inf")
            if _time_one(client, target, text) > 2 * usual:
                normal = 0
                continue
            normal += 1
            if normal == 1:
                normal_since = asked
    return normal_since


def _time_one(client: httpx2.Client, target: Target, text: str) -> float:
    """Seconds of one request; a refusal takes for ever."""
    began = time.perf_counter()
    try:
        answer = client.post(target.url, json=target.body_of_one(text))
    except httpx2.TransportError as error:
        raise BenchmarkFailed(f"{target.name} does not answer: {error}") from None
    return time.perf_counter() - began if answer.status_code == 200 else float("inf")
