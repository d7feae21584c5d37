"""The table of what attacks cost, by route."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.adversarial.bodies import MEBIBYTE
from tests.adversarial.watch import Measured

Cost = dict[str, Any]


def make_cost(route: str, statuses: Sequence[int], measured: Measured) -> Cost:
    """Return one line of the report, as values that pytest passes between its processes."""
    return {
        "route": route,
        "statuses": sorted(set(statuses)),
        "held": measured.held_seconds,
        "growth": measured.growth_bytes,
        "livez": measured.livez_seconds,
    }


def write_table(costs: Sequence[Cost]) -> list[str]:
    """Return the lines of a table with the worst cost of each route."""
    lines = [f"{'route':44} {'attacks':>7} {'loop held':>10} {'growth':>9} {'/livez':>8}  statuses"]
    for route in sorted({cost["route"] for cost in costs}):
        found = [cost for cost in costs if cost["route"] == route]
        held, growth, livez = (
            max(cost[name] for cost in found) for name in ("held", "growth", "livez")
        )
        statuses = sorted({status for cost in found for status in cost["statuses"]})
        lines.append(
            f"{route:44} {len(found):7} {held * 1000:7.0f} ms {growth / MEBIBYTE:5.0f} MiB"
            f" {livez * 1000:5.0f} ms  {' '.join(map(str, statuses))}"
        )
    return lines
