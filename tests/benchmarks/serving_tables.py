"""The sections of docs/performance.md about serving: measurements in, Markdown out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.benchmarks.points import POINTS, Measured
from tests.benchmarks.report import make_table

if TYPE_CHECKING:
    from tests.benchmarks.peer_servers import PeerResult
    from tests.benchmarks.serving import OpenLoop, Overload, Served

HEADER = (
    "clients", "limit, texts/s", "texts/s", "% of the limit", "% of one process", "p50, ms",
    "p99, ms", "failed",
)  # fmt: skip


def serving_section(served: Served, machine: str) -> str:
    """Slipway against the limit, under too much load, and in an open loop."""
    rows = [
        (
            one.point.name,
            one.limit.show(),
            one.rate.show(),
            one.percent_of_limit.show(),
            one.percent_of_one_process.show(),
            one.p50_ms.show(1),
            one.p99_ms.show(1),
            str(one.failed),
        )
        for one in served.points
    ]
    return "\n\n".join(
        (
            f"{machine}. Slipway: {served.configuration}.",
            make_table(HEADER, rows),
            *map(_say_overload, served.overloads),
            _say_open_loop(served.open_loop),
            f"Memory of the inference server and its engines after all this: "
            f"{served.mebibytes:.0f} MiB (proportional set size).",
        )
    )


def peers_section(served: Served, peers: Sequence[PeerResult], machine: str) -> str:
    """All servers side by side, then how many times the best peer's rate Slipway has."""
    good = [peer for peer in peers if not peer.problem]
    lines = [_server_row("Slipway", served.points, served.mebibytes, _recovery(served))]
    lines += [
        _server_row(peer.title, peer.points, peer.mebibytes, peer.seconds_to_normal)
        for peer in good
    ]
    header = ("texts/s at clients", *(point.name for point in POINTS))
    parts = [
        f"{machine}.",
        make_table((*header, "p99 at 32, ms", "MiB", "s to normal"), lines),
    ]
    others = [peer for peer in good if peer.name != "mlserver_forward"]
    if others:
        rows = [
            ("Slipway to the best of the others", *_ratios(served.points, others)),
            ("p99 to the lowest of the others", *_p99_ratios(served.points, others)),
        ]
        parts.append(make_table(header, rows))
    parts += _share_of_forward(served.points, good, header)
    parts += [f"{peer.title} was not measured: {peer.problem}." for peer in peers if peer.problem]
    return "\n\n".join(parts)


def _say_overload(overload: Overload) -> str:
    result = overload.result
    deadline = f"{overload.deadline_ms} ms" if overload.deadline_ms else "the default one"
    return (
        f"256 clients at once, deadline {deadline}: {result.requests_per_second:.0f} answers/s, "
        f"p50 {result.p50_ms:.0f} ms, p99 {result.p99_ms:.0f} ms; "
        f"{100 * result.refused_share:.0f} % of the requests got a 429, {result.failed} failed; "
        f"normal {overload.seconds_to_normal:.2f} s after the end."
    )


def _say_open_loop(open_loop: OpenLoop) -> str:
    result = open_loop.result
    return (
        f"Open loop, requests at random times, {open_loop.rate:.0f}/s (70 % of the capacity) for "
        f"{result.seconds:.0f} s: {result.requests_per_second:.0f} answers/s, "
        f"p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms "
        f"({result.p99_ms / max(result.p50_ms, 0.001):.1f} times the p50), {result.failed} failed; "
        f"the p50 of the last third is {result.drift:.2f} times that of the first."
    )


def _recovery(served: Served) -> float:
    return max(overload.seconds_to_normal for overload in served.overloads)


def _server_row(
    title: str, points: Sequence[Measured], mebibytes: float, to_normal: float
) -> tuple[str, ...]:
    measured = _by_name(points)
    rates = (measured[p.name].rate.show() if p.name in measured else "-" for p in POINTS)
    p99 = measured["32"].p99_ms.show()
    recovery = "over 60" if math.isinf(to_normal) else f"{to_normal:.1f}"
    return (title, *rates, p99, f"{mebibytes:.0f}", recovery)


def _ratios(points: Sequence[Measured], peers: Sequence[PeerResult]) -> list[str]:
    """The rate over the highest rate of the peers, at each point."""
    cells = []
    for own, others in _beside(points, peers):
        best = max((other.rate.median for other in others), default=0)
        cells.append(f"{own.rate.median / best:.1f}" if own and best else "-")
    return cells


def _p99_ratios(points: Sequence[Measured], peers: Sequence[PeerResult]) -> list[str]:
    """The p99 over the lowest p99 of the peers, at each point: below 1 is quicker."""
    cells = []
    for own, others in _beside(points, peers):
        best = min((other.p99_ms.median for other in others), default=0)
        cells.append(f"{own.p99_ms.median / best:.2f}" if own and best else "-")
    return cells


def _beside(
    points: Sequence[Measured], peers: Sequence[PeerResult]
) -> Iterator[tuple[Measured | None, list[Measured]]]:
    """For each point what was measured of one server, if it was, and of the others."""
    own = _by_name(points)
    others = [_by_name(peer.points) for peer in peers]
    for point in POINTS:
        yield own.get(point.name), [one[point.name] for one in others if point.name in one]


def _share_of_forward(
    points: Sequence[Measured], peers: Sequence[PeerResult], header: Sequence[str]
) -> list[str]:
    """How much of the gap is the model's forward and how much the server, by MLServer with both."""
    named = {peer.name: peer for peer in peers}
    if not {"mlserver", "mlserver_forward"} <= set(named):
        return []
    given = named["mlserver_forward"]
    return [
        "How much of that is the model's forward and how much the server:",
        make_table(
            header,
            [
                (
                    "MLServer with Slipway's forward to MLServer",
                    *_ratios(given.points, [named["mlserver"]]),
                ),
                ("Slipway to MLServer with Slipway's forward", *_ratios(points, [given])),
            ],
        ),
    ]


def _by_name(points: Sequence[Measured]) -> dict[str, Measured]:
    return {one.point.name: one for one in points}
