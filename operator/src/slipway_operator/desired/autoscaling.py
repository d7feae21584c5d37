"""Autoscalers: an HPA by CPU, or KEDA by the length of the batch queue."""

from __future__ import annotations

from collections.abc import Iterable

from slipway_operator.api.v1alpha1.labels import BATCH, INFERENCE
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.scaling import Autoscaling, Batch
from slipway_operator.configuration import Platform
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import batch_name, queue_name
from slipway_operator.kubernetes.objects import Object

BATCH_CPU_PERCENTAGE = 70
KEDA_POLLING_SECONDS = 5
MAX_STABILIZATION_SECONDS = 3600
"""Longest stabilization window that an HPA accepts."""


def build_inference_autoscaler(md: ModelDeployment, autoscaling: Autoscaling) -> Object:
    """Return the HPA of the inference pods."""
    return _build_autoscaler(
        build_metadata(md, md.name, INFERENCE),
        autoscaling.min_replicas,
        autoscaling.max_replicas,
        autoscaling.target_cpu_utilization_percentage,
        autoscaling.scale_down_delay_seconds,
    )


def build_batch_autoscaler(md: ModelDeployment, batch: Batch) -> Object:
    """Return the HPA of the workers, for clusters without KEDA. It never scales to zero."""
    min_replicas = max(1, batch.min_replicas)
    return _build_autoscaler(
        build_metadata(md, batch_name(md.name), BATCH),
        min_replicas,
        max(min_replicas, batch.max_replicas),
        BATCH_CPU_PERCENTAGE,
        min(batch.cooldown_seconds, MAX_STABILIZATION_SECONDS),
    )


def _build_autoscaler(
    meta: Object,
    min_replicas: int,
    max_replicas: int,
    cpu_percentage: int,
    delay_seconds: int,
) -> Object:
    target = {"type": "Utilization", "averageUtilization": cpu_percentage}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": meta,
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": meta["name"],
            },
            "minReplicas": min_replicas,
            "maxReplicas": max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
            "behavior": _build_behavior(delay_seconds),
        },
    }


def _build_behavior(delay_seconds: int) -> Object:
    """Return policies: up by 100 % or two pods in 15 s, down by half or one pod in a minute."""
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 15},
                {"type": "Pods", "value": 2, "periodSeconds": 15},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": delay_seconds,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 50, "periodSeconds": 60},
                {"type": "Pods", "value": 1, "periodSeconds": 60},
            ],
        },
    }


def min_replicas_by_deployment(manifests: Iterable[Object]) -> dict[str, int]:
    """Return the `minReplicas` of the HPAs among the manifests by the name of their Deployment.

    An HPA ignores a Deployment at 0, which therefore has to be started. KEDA starts it by itself.
    """
    specs = [each["spec"] for each in manifests if each["kind"] == "HorizontalPodAutoscaler"]
    return {spec["scaleTargetRef"]["name"]: spec["minReplicas"] for spec in specs}


def build_scaled_object(md: ModelDeployment, platform: Platform, batch: Batch) -> Object:
    """Return KEDA's ScaledObject of the workers.

    A chunk stays in the queue until it is done, so KEDA does not remove busy workers.
    """
    name = batch_name(md.name)
    trigger: Object = {
        "type": "redis",
        "metadata": {
            "address": platform.redis_address,
            "databaseIndex": str(platform.redis_database),
            "listName": queue_name(md.namespace, md.name),
            "listLength": str(batch.target_queue_length),
            "activationListLength": "0",
            **({"enableTLS": "true"} if platform.redis_tls else {}),
        },
    }
    if needs_credentials(platform):
        trigger["authenticationRef"] = {"name": name}
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": build_metadata(md, name, BATCH),
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": batch.min_replicas,
            "maxReplicaCount": batch.max_replicas,
            "pollingInterval": KEDA_POLLING_SECONDS,
            "cooldownPeriod": batch.cooldown_seconds,
            "triggers": [trigger],
        },
    }


def needs_credentials(platform: Platform) -> bool:
    """Return whether KEDA needs credentials for the queue."""
    return bool(_credentials(platform))


def build_trigger_authentication(md: ModelDeployment, platform: Platform) -> Object:
    """Return the TriggerAuthentication that gives KEDA the credentials of the workers' Secret."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "TriggerAuthentication",
        "metadata": build_metadata(md, batch_name(md.name), BATCH),
        "spec": {
            "secretTargetRef": [
                {"parameter": parameter, "name": platform.redis_secret, "key": key}
                for parameter, key in _credentials(platform).items()
            ]
        },
    }


def _credentials(platform: Platform) -> dict[str, str]:
    """Return the keys in Redis's Secret by KEDA's parameter."""
    keys = {"password": platform.redis_password_key, "username": platform.redis_username_key}
    return {parameter: key for parameter, key in keys.items() if key}
