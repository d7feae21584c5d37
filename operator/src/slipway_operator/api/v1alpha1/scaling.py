"""`spec.autoscaling` and `spec.batch`: how many pods, and what decides it."""

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
    """Scaling of the inference pods by their CPU use."""

    model_config = _extra(_MIN_ABOVE_MAX)

    min_replicas: int = Field(1, ge=1, le=1000, description="Fewest inference pods.")
    max_replicas: int = Field(ge=1, le=1000, description="Most inference pods.")
    target_cpu_utilization_percentage: int = Field(
        70,
        ge=1,
        le=1000,
        alias="targetCPUUtilizationPercentage",
        description="CPU use that the number of pods aims at, percent of the CPU request.",
    )
    scale_down_delay_seconds: int = Field(
        300,
        ge=0,
        le=3600,
        description="How long the load must have been lower before pods are taken away, seconds.",
    )


class Batch(ApiModel):
    """Workers for batch jobs. They scale by the length of the queue where KEDA is installed, also
    to none; else by CPU use, and at least one runs.
    """

    model_config = _extra(_MIN_ABOVE_MAX)

    enabled: bool = Field(True, description="Run batch workers. Needs the platform's database.")
    min_replicas: int = Field(0, ge=0, le=1000, description="Fewest workers.")
    max_replicas: int = Field(4, ge=1, le=1000, description="Most workers.")
    target_queue_length: int = Field(
        10, ge=1, le=100_000, description="Chunks of work in the queue for each worker."
    )
    cooldown_seconds: int = Field(
        300,
        ge=0,
        le=86400,
        description="How long the queue must have been empty before the workers stop, seconds.",
    )
    image: str | None = Field(
        None,
        min_length=1,
        max_length=512,
        description="Image of the workers; the platform's own when absent.",
    )
    resources: Resources | None = Field(
        None, description="What each worker reserves and may use; as for inference when absent."
    )
    pod_template: PodTemplate | None = Field(
        None,
        description="Merged over the workers' pod template last; the container is named `worker`.",
    )
