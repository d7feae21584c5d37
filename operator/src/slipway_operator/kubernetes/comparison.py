"""Comparison of a live object with its desired state, to decide whether to apply it again."""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.quantities import parse_quantity


def contains(live: Any, desired: Any) -> bool:
    """Return whether `live` has every field of `desired` with the same value.

    Other fields of `live` are ignored: defaults, the status, fields of other managers.
    """
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            key in live and contains(live[key], value) for key, value in desired.items()
        )
    if isinstance(desired, list):
        return isinstance(live, list) and _contains_items(live, desired)
    return bool(live == desired) or _is_same_quantity(live, desired)


def _contains_items(live: list[Any], desired: list[Any]) -> bool:
    if not all(isinstance(item, dict) for item in desired):
        return live == desired
    return all(any(contains(candidate, item) for candidate in live) for item in desired)


def _is_same_quantity(live: Any, desired: Any) -> bool:
    # The API server normalizes quantities: 1000m becomes 1.
    if not (isinstance(live, str) and isinstance(desired, str)):
        return False
    try:
        return parse_quantity(live) == parse_quantity(desired)
    except ValueError:
        return False
