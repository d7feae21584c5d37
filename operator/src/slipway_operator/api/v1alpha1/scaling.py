"""`spec.autoscaling` and `spec.batch`: the number of pods, and what decides it."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field

from slipway_operator.api.v1alpha1.api_model import ApiModel, reject_unless
from slipway_operator.api.v1alpha1.model_runtime import Resources
from slipway_operator.api.v1alpha1.pod_template import PodTemplate

_MIN_ABOVE_MAX = reject_unless(
    (
        "self.minReplicas <= self.maxReplicas",
        "`minReplicas` is above `maxReplicas`: raise `maxReplicas` or lower `minReplicas`",
    )
)


def _extra(extra: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra=extra)


class Autoscaling(ApiModel):
    """Scaling of the inference pods by CPU utilization."""

    model_config = _extra(_MIN_ABOVE_MAX)

    min_replicas: int = Field(1, ge=1, le=1000, description="Minimum number of inference pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Maximum number of inference pods.")
    target_cpu_utilization_percentage: int = Field(
        70,
        ge=1,
        le=1000,
        alias="targetCPUUtilizationPercentage",
        description="Target CPU utilization, percent of the CPU request.",
    )
    scale_down_delay_seconds: int = Field(
        300,
        ge=0,
        le=3600,
        description="Time of lower load after which pods are removed, seconds.",
    )


class Batch(ApiModel):
    """Workers for batch jobs. With KEDA they scale by queue length, down to zero. Without KEDA they
    scale by CPU utilization, and at least one keeps running.
    """

    model_config = _extra(_MIN_ABOVE_MAX)

    enabled: bool = Field(
        True, description="Run batch workers. Requires the platform's database and queue."
    )
    min_replicas: int = Field(0, ge=0, le=1000, description="Minimum number of workers.")
    max_replicas: int = Field(4, ge=1, le=1000, description="Maximum number of workers.")
    target_queue_length: int = Field(
        10, ge=1, le=100_000, description="Target number of queued chunks per worker."
    )
    cooldown_seconds: int = Field(
        300,
        ge=0,
        le=86400,
        description="Time with an empty queue after which the workers stop, seconds.",
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Image of the workers; the platform's image by default.",
    )
    resources: Resources | None = Field(
        None,
        description="Resource requests and limits of each worker; by default those of the "
        "inference pods.",
    )
    pod_template: PodTemplate | None = Field(
        None,
        description="Part of a pod template that is merged last into that of the workers. The "
        "container is named `worker`.",
    )
