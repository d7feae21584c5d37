"""Strategic merge of a `podTemplate` into a pod template, as `kubectl patch` does it."""

from __future__ import annotations

from typing import Any

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""Lists that are merged item by item, with the key of their items. Other lists are replaced."""


def merge(original: Any, patch: Any, field: str = "") -> Any:
    """Return `original` with `patch` merged into it. A null in `patch` removes the key.

    `field` is the name of the field that holds the values.
    """
    if isinstance(original, dict) and isinstance(patch, dict):
        result = dict(original)
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merge(original.get(key), value, key)
        return result
    if isinstance(original, list) and isinstance(patch, list) and field in MERGE_KEYS:
        return _merge_items(original, patch, MERGE_KEYS[field])
    return _without_nulls(patch)


def _merge_items(original: list[Any], patch: list[Any], key: str) -> list[Any]:
    result = list(original)
    for item in patch:
        identity = item.get(key) if isinstance(item, dict) else None
        for index, existing in enumerate(result):
            if identity is not None and existing.get(key) == identity:
                result[index] = merge(existing, item)
                break
        else:
            result.append(_without_nulls(item))
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        return [_without_nulls(inner) for inner in value]
    return value
