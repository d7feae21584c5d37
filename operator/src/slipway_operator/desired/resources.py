"""What a pod reserves and may use, where the user said it and where not; and what a GPU implies."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.model_runtime import GPU_RESOURCE, Resources
from slipway_operator.api.v1alpha1.quantities import double_quantity, parse_quantity
from slipway_operator.kubernetes.objects import Object

DEFAULT_CPU_REQUEST = "500m"
DEFAULT_MEMORY_REQUEST = "1Gi"


def resolve_resources(resources: Resources) -> dict[str, dict[str, str]]:
    """Requests and limits with the defaults that the API documents."""
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


def _smaller(default: str, limit: str | None) -> str:
    return (
        limit if limit is not None and parse_quantity(limit) < parse_quantity(default) else default
    )


def get_batch_resources(md: ModelDeployment) -> Resources:
    """Of the workers: their own, else those of the inference pods: the model is the same."""
    batch = md.spec.batch
    return (batch and batch.resources) or md.spec.runtime.resources


def uses_gpu(resources: Resources) -> bool:
    """Whether the pods get a GPU."""
    asked = {**(resources.requests or {}), **(resources.limits or {})}
    return parse_quantity(asked.get(GPU_RESOURCE, "0")) > 0


def build_gpu_tolerations(resources: Resources) -> list[Object]:
    """What lets pods onto nodes that are kept for GPU work; nothing for pods without GPU."""
    if not uses_gpu(resources):
        return []
    return [{"key": GPU_RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]
