"""Render the measurements of servers as sections of docs/performance.md."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tests.benchmarks.points import POINTS, Measured
from tests.benchmarks.report import make_table

if TYPE_CHECKING:
    from tests.benchmarks.peer_servers import PeerResult
    from tests.benchmarks.serving import OpenLoop, Overload, SlipwayResult

HEADER = (
    "clients", "limit, texts/s", "texts/s", "% of the limit", "% of one process", "p50, ms",
    "p99, ms", "failed",
)  # fmt: skip


def serving_section(slipway: SlipwayResult, machine: str) -> str:
    """Return the section on Slipway: relative to the limit, overloaded, and in an open loop."""
    rows = [
        (
            measured.point.name,
            measured.limit.show(),
            measured.rate.show(),
            measured.percent_of_limit.show(),
            measured.percent_of_one_process.show(),
            measured.p50_ms.show(1),
            measured.p99_ms.show(1),
            str(measured.failed),
        )
        for measured in slipway.points
    ]
    return "\n\n".join(
        (
            f"{machine}. Slipway: {slipway.configuration}.",
            make_table(HEADER, rows),
            *map(_describe_overload, slipway.overloads),
            _describe_open_loop(slipway.open_loop),
            f"Memory of the inference server and its engines after these loads: "
            f"{slipway.mebibytes:.0f} MiB (proportional set size).",
        )
    )


def peers_section(slipway: SlipwayResult, peers: Sequence[PeerResult], machine: str) -> str:
    """Return the section on other servers: a table of all, and the ratios of Slipway to them."""
    good = [peer for peer in peers if not peer.problem]
    lines = [_server_row("Slipway", slipway.points, slipway.mebibytes, _recovery(slipway))]
    lines += [
        _server_row(peer.title, peer.points, peer.mebibytes, peer.seconds_to_normal)
        for peer in good
    ]
    points = [point.name for point in POINTS]
    ratio_header = ("ratio at clients", *points)
    header = ("texts/s at clients", *points, "p99 at 32, ms", "MiB", "s to normal")
    parts = [f"{machine}.", make_table(header, lines)]
    others = [peer for peer in good if peer.name != "mlserver_forward"]
    if others:
        rows = [
            ("rate / best of the others", *_ratios(slipway.points, others)),
            ("p99 / lowest of the others", *_p99_ratios(slipway.points, others)),
        ]
        parts += ["Slipway compared with the other servers:", make_table(ratio_header, rows)]
    parts += _share_of_forward(slipway.points, good, ratio_header)
    parts += [f"{peer.title} was not measured: {peer.problem}." for peer in peers if peer.problem]
    return "\n\n".join(parts)


def _describe_overload(overload: Overload) -> str:
    result = overload.result
    deadline = (
        f"a deadline of {overload.deadline_ms} ms"
        if overload.deadline_ms
        else "the default deadline"
    )
    return (
        f"256 clients at once, with {deadline}: {result.requests_per_second:.0f} responses/s, "
        f"p50 {result.p50_ms:.0f} ms, p99 {result.p99_ms:.0f} ms; "
        f"{100 * result.rejected_share:.0f} % of the requests were rejected with 429, "
        f"{result.failed} failed. The server was back to normal "
        f"{overload.seconds_to_normal:.2f} s after the end of the load."
    )


def _describe_open_loop(open_loop: OpenLoop) -> str:
    result = open_loop.result
    return (
        f"Open loop with {open_loop.rate:.0f} requests/s at random times (70 % of the capacity) "
        f"for {result.seconds:.0f} s: {result.requests_per_second:.0f} responses/s, "
        f"p50 {result.p50_ms:.1f} ms, p99 {result.p99_ms:.1f} ms "
        f"({result.p99_ms / max(result.p50_ms, 0.001):.1f} times the p50), {result.failed} failed. "
        f"The p50 of the last third is {result.drift:.2f} times that of the first."
    )


def _recovery(slipway: SlipwayResult) -> float:
    return max(overload.seconds_to_normal for overload in slipway.overloads)


def _server_row(
    title: str, points: Sequence[Measured], mebibytes: float, to_normal: float
) -> tuple[str, ...]:
    measured = _by_name(points)
    rates = (measured[p.name].rate.show() if p.name in measured else "-" for p in POINTS)
    p99 = measured["32"].p99_ms.show()
    recovery = "over 60" if math.isinf(to_normal) else f"{to_normal:.1f}"
    return (title, *rates, p99, f"{mebibytes:.0f}", recovery)


def _ratios(points: Sequence[Measured], peers: Sequence[PeerResult]) -> list[str]:
    """Return the rate divided by the highest rate of the peers, at each point."""
    cells = []
    for own, others in _pair_by_point(points, peers):
        best = max((other.rate.median for other in others), default=0)
        cells.append(f"{own.rate.median / best:.1f}" if own and best else "-")
    return cells


def _p99_ratios(points: Sequence[Measured], peers: Sequence[PeerResult]) -> list[str]:
    """Return the p99 divided by the lowest p99 of the peers, at each point."""
    cells = []
    for own, others in _pair_by_point(points, peers):
        best = min((other.p99_ms.median for other in others), default=0)
        cells.append(f"{own.p99_ms.median / best:.2f}" if own and best else "-")
    return cells


def _pair_by_point(
    points: Sequence[Measured], peers: Sequence[PeerResult]
) -> Iterator[tuple[Measured | None, list[Measured]]]:
    """Yield the measurements of a server (None if missing) and of the others at each point."""
    own = _by_name(points)
    others = [_by_name(peer.points) for peer in peers]
    for point in POINTS:
        yield own.get(point.name), [peer[point.name] for peer in others if point.name in peer]


def _share_of_forward(
    points: Sequence[Measured], peers: Sequence[PeerResult], header: Sequence[str]
) -> list[str]:
    """Return a table that separates the effect of the forward pass from that of the server."""
    named = {peer.name: peer for peer in peers}
    if not {"mlserver", "mlserver_forward"} <= set(named):
        return []
    with_forward = named["mlserver_forward"]
    return [
        "The contributions of the forward pass and of the server to this ratio:",
        make_table(
            header,
            [
                (
                    "MLServer with Slipway's forward pass / MLServer",
                    *_ratios(with_forward.points, [named["mlserver"]]),
                ),
                (
                    "Slipway / MLServer with Slipway's forward pass",
                    *_ratios(points, [with_forward]),
                ),
            ],
        ),
    ]


def _by_name(points: Sequence[Measured]) -> dict[str, Measured]:
    return {measured.point.name: measured for measured in points}
