"""The Deployment of the inference server."""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.labels import (
    FIXED_REPLICAS_ANNOTATION,
    INFERENCE,
    metadata,
    selector,
)
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import (
    DRAIN_DELAY_SECONDS,
    SHUTDOWN_MARGIN_SECONDS,
    inference_environment,
)
from slipway_operator.desired.names import (
    HTTP_PORT,
    HTTP_PORT_NAME,
    SERVER_CONTAINER,
)
from slipway_operator.desired.pod import ComponentSpec, pod_template
from slipway_operator.desired.probes import liveness, readiness, startup
from slipway_operator.desired.resources import uses_gpu

DOWNLOAD_SECONDS = 1800
"""How long a download may take before the rollout counts as stuck."""


def inference_deployment(md: ModelDeployment, platform: Platform) -> dict[str, Any]:
    """Replaces pods one by one and never takes one away before its successor is ready.

    `spec.replicas` is left out while an autoscaler owns it: writing it would undo its decisions.
    """
    meta = metadata(md, md.name, INFERENCE)
    spec: dict[str, Any] = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": md.spec.runtime.startup_timeout_seconds + DOWNLOAD_SECONDS,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        "selector": {"matchLabels": selector(md, INFERENCE)},
        "template": pod_template(md, platform, _component(md, platform)),
    }
    if md.spec.autoscaling is None:
        meta["annotations"] = {FIXED_REPLICAS_ANNOTATION: "fixed"}
        spec["replicas"] = fixed_replicas(md)
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def fixed_replicas(md: ModelDeployment) -> int:
    """Number of inference pods where no autoscaler decides it."""
    return 1 if md.spec.replicas is None else md.spec.replicas


def _component(md: ModelDeployment, platform: Platform) -> ComponentSpec:
    runtime = md.spec.runtime
    gpu = uses_gpu(runtime.resources)
    default_image = (gpu and platform.inference_cuda_image) or platform.inference_image
    return ComponentSpec(
        name=INFERENCE,
        container=SERVER_CONTAINER,
        image=runtime.image or default_image,
        environment=inference_environment(md, platform),
        port_name=HTTP_PORT_NAME,
        port=HTTP_PORT,
        probes={
            "startupProbe": startup(HTTP_PORT_NAME, runtime.startup_timeout_seconds),
            "readinessProbe": readiness(HTTP_PORT_NAME),
            "livenessProbe": liveness(HTTP_PORT_NAME, period_seconds=10, failures=3),
        },
        resources=runtime.resources,
        grace_seconds=DRAIN_DELAY_SECONDS
        + runtime.request_timeout_seconds
        + SHUTDOWN_MARGIN_SECONDS,
        pod_template=md.spec.pod_template,
    )
