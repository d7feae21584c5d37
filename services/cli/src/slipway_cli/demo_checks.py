"""What the demo holds the platform to: plain functions that raise DemoFailed in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


class DemoFailed(Exception):
    """Something that the demo looked at was not right."""


def require(condition: bool, message: str) -> None:
    """Raise DemoFailed with the message unless the condition holds."""
    if not condition:
        raise DemoFailed(message)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """The cosine of two vectors of the same length: 1 for the same direction."""
    product = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return product / (math.hypot(*left) * math.hypot(*right))


def check_results(results: Sequence[dict[str, Any]], total: int) -> None:
    """Each input has exactly one result, a prediction."""
    found = [result["index"] for result in results]
    missing = sorted(set(range(total)) - set(found))
    require(not missing, f"{len(missing)} inputs have no result, the first is {missing[:1]}")
    require(len(found) == total, f"{total} inputs have {len(found)} results")
    failed = [result for result in results if "error" in result]
    require(not failed, f"{len(failed)} inputs failed, the first with {failed[:1]}")


def metric_value(text: str, name: str, labels: dict[str, str]) -> float:
    """The value of one sample of a Prometheus text; 0 when there is none."""
    for line in text.splitlines():
        if not line.startswith(name):
            continue
        series, _, value = line.rpartition(" ")
        shown = dict(
            part.split("=", 1) for part in series[len(name) :].strip("{}").split(",") if "=" in part
        )
        if series[len(name) : len(name) + 1] in ("{", "") and shown == {
            key: f'"{given}"' for key, given in labels.items()
        }:
            return float(value)
    return 0.0
