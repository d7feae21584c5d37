"""Checks of the demo: plain functions that raise DemoFailed with an explanation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


class DemoFailed(Exception):
    """A check of the demo failed."""


def require(condition: bool, message: str) -> None:
    """Raise DemoFailed with the message unless the condition holds."""
    if not condition:
        raise DemoFailed(message)


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the cosine similarity of two vectors of the same width."""
    product = math.fsum(a * b for a, b in zip(left, right, strict=True))
    return product / (math.hypot(*left) * math.hypot(*right))


def check_results(results: Sequence[dict[str, Any]], total: int) -> None:
    """Require exactly one result for each input, a prediction."""
    indexes = [result["index"] for result in results]
    missing = sorted(set(range(total)) - set(indexes))
    require(not missing, f"{len(missing)} inputs have no result, the first is {missing[:1]}")
    require(len(indexes) == total, f"{total} inputs have {len(indexes)} results")
    failed = [result for result in results if "error" in result]
    require(not failed, f"{len(failed)} inputs failed, the first with {failed[:1]}")


def metric_value(text: str, name: str, labels: dict[str, str]) -> float:
    """Return the value of a sample in the Prometheus text format; 0 when it is missing."""
    quoted = {label: f'"{value}"' for label, value in labels.items()}
    for line in text.split("\n"):
        series, _, value = line.rpartition(" ")
        series_name, _, pairs = series.partition("{")
        if series_name == name and quoted == dict(
            pair.split("=", 1) for pair in pairs.rstrip("}").split(",") if "=" in pair
        ):
            return float(value)
    return 0.0
