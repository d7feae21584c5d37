"""Merge of a `podTemplate` into a pod template, as server-side apply merges two managers' fields.

Lists are merged by the keys that the API's schema names. Of fields that exclude each other, such as
the sources of a volume, the patch replaces the original's, which would be invalid beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIST_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "protocol"),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "resourceClaims": ("name",),
    "claims": ("name",),
    "schedulingGates": ("name",),
}
"""Lists that are merged item by item, with the keys of their items. Other lists are replaced."""

KEY_DEFAULTS = {"protocol": "TCP"}
"""Values that the API server fills in for absent keys."""

_HANDLERS = frozenset({"exec", "grpc", "httpGet", "sleep", "tcpSocket"})
ALTERNATIVES: dict[str, frozenset[str]] = {
    "env": frozenset({"value", "valueFrom"}),
    "livenessProbe": _HANDLERS,
    "postStart": _HANDLERS,
    "preStop": _HANDLERS,
    "readinessProbe": _HANDLERS,
    "startupProbe": _HANDLERS,
}
"""Fields of an object of which only one may be set."""

SOURCES: dict[str, frozenset[str]] = {"valueFrom": frozenset(), "volumes": frozenset({"name"})}
"""Objects of which only one field may be set, beside the ones listed."""


def merge(original: Any, patch: Any, field: str = "") -> Any:
    """Return `original` with `patch` merged into it. A null in `patch` removes the key.

    `field` is the name of the field that holds the values.
    """
    if isinstance(original, dict) and isinstance(patch, dict):
        result = _without_alternatives(original, patch, field)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merge(result.get(key), value, key)
        return result
    if isinstance(original, list) and isinstance(patch, list) and field in LIST_KEYS:
        return _merge_items(original, patch, field)
    return _without_nulls(patch)


def _merge_items(original: list[Any], patch: list[Any], field: str) -> list[Any]:
    result = list(original)
    for item in patch:
        identity = _identity(item, LIST_KEYS[field])
        for index, existing in enumerate(result):
            if identity is not None and _identity(existing, LIST_KEYS[field]) == identity:
                result[index] = merge(existing, item, field)
                break
        else:
            result.append(_without_nulls(item))
    return result


def _identity(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    if not isinstance(item, dict):
        return None
    values = tuple(item.get(key, KEY_DEFAULTS.get(key)) for key in keys)
    return None if None in values else values


def _without_alternatives(
    original: Mapping[str, Any], patch: Mapping[str, Any], field: str
) -> dict[str, Any]:
    """Return the original without the fields that a field of the patch excludes."""
    if field in SOURCES:
        exclusive = (original.keys() | patch.keys()) - SOURCES[field]
    else:
        exclusive = set(ALTERNATIVES.get(field, ()))
    chosen = {key for key in exclusive if patch.get(key) is not None}
    dropped = exclusive - chosen if chosen else set()
    return {key: value for key, value in original.items() if key not in dropped}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
