"""Resource requests and limits of pods, with their defaults, and the consequences of a GPU."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.model_runtime import GPU_RESOURCE, Resources
from slipway_operator.api.v1alpha1.quantities import double_quantity, parse_quantity
from slipway_operator.kubernetes.objects import Object

NATIVE_RESOURCES = frozenset({"cpu", "ephemeral-storage", "memory"})
"""Resources that every container of a pod has a share of. The others are devices."""

DEFAULT_CPU_REQUEST = "500m"
DEFAULT_MEMORY_REQUEST = "1Gi"


def resolve_resources(resources: Resources) -> dict[str, dict[str, str]]:
    """Return requests and limits with the defaults that the API documents."""
    requests, limits = dict(resources.requests or {}), dict(resources.limits or {})
    if "cpu" not in requests:
        requests["cpu"] = _smaller(DEFAULT_CPU_REQUEST, limits.get("cpu"))
    if "memory" not in requests:
        requests["memory"] = _smaller(DEFAULT_MEMORY_REQUEST, limits.get("memory"))
    if "memory" not in limits:
        limits["memory"] = double_quantity(requests["memory"])
    if GPU_RESOURCE in requests:
        limits.setdefault(GPU_RESOURCE, requests[GPU_RESOURCE])
    return {"requests": requests, "limits": limits}


def without_devices(resources: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """Return the amounts for a container that runs before the server and needs no device.

    It costs a pod nothing to ask for as much before: the scheduler counts the larger of the two.
    """
    return {
        part: {name: amount for name, amount in amounts.items() if name in NATIVE_RESOURCES}
        for part, amounts in resources.items()
    }


def _smaller(default: str, limit: str | None) -> str:
    return default if limit is None else min(default, limit, key=parse_quantity)


def get_batch_resources(md: ModelDeployment) -> Resources:
    """Return the resources of the workers, by default those of the inference pods."""
    batch = md.spec.batch
    return (batch and batch.resources) or md.spec.runtime.resources


def uses_gpu(resources: Resources) -> bool:
    """Return whether the pods get a GPU."""
    amounts = {**(resources.requests or {}), **(resources.limits or {})}
    return parse_quantity(amounts.get(GPU_RESOURCE, "0")) > 0


def build_gpu_tolerations(resources: Resources) -> list[Object]:
    """Return the tolerations for nodes that are reserved for GPU work; none without a GPU."""
    if not uses_gpu(resources):
        return []
    return [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]
