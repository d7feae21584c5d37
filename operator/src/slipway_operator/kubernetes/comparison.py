"""Whether the cluster has what is wished: decides if an object must be applied again."""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.quantities import amount


def contains(live: Any, wished: Any) -> bool:
    """True when every field of `wished` has its value in `live`; what else `live` has is the
    business of others (defaults, the status, other managers of the object).
    """
    if isinstance(wished, dict):
        return isinstance(live, dict) and all(
            key in live and contains(live[key], value) for key, value in wished.items()
        )
    if isinstance(wished, list):
        return isinstance(live, list) and _contains_items(live, wished)
    return bool(live == wished) or _same_quantity(live, wished)


def _contains_items(live: list[Any], wished: list[Any]) -> bool:
    if not all(isinstance(item, dict) for item in wished):
        return live == wished
    return all(any(contains(candidate, item) for candidate in live) for item in wished)


def _same_quantity(live: Any, wished: Any) -> bool:
    """The API server writes quantities in its own way: 1000m becomes 1."""
    if not (isinstance(live, str) and isinstance(wished, str)):
        return False
    try:
        return amount(live) == amount(wished)
    except ValueError:
        return False
