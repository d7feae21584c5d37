"""Objects as the API server returns them, and the parts that every layer reads."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

Object = dict[str, Any]
"""Any Kubernetes object, or part of one, as parsed JSON."""


class Key(NamedTuple):
    """Namespace and name of an object, by which caches and the work queue address it."""

    namespace: str
    name: str


def key_of(body: Object) -> Key:
    """Return the key of an object."""
    meta = body["metadata"]
    return Key(meta["namespace"], meta["name"])


def get_condition(body: Object, condition_type: str) -> Object:
    """Return a condition from the status of an object; an empty one when it is absent."""
    conditions = body.get("status", {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == condition_type), {})


def format_timestamp(time: datetime) -> str:
    """Return a time in UTC in the format of the API server, with a precision of seconds."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
