"""The Deployment of the inference server."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import FIXED_REPLICAS_ANNOTATION, INFERENCE, selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import (
    DRAIN_DELAY_SECONDS,
    SHUTDOWN_MARGIN_SECONDS,
    inference_environment,
)
from slipway_operator.desired.metadata import metadata
from slipway_operator.desired.names import (
    HTTP_PORT,
    HTTP_PORT_NAME,
    SERVER_CONTAINER,
)
from slipway_operator.desired.pod import ComponentSpec, pod_template
from slipway_operator.desired.probes import liveness, readiness, startup
from slipway_operator.desired.resources import uses_gpu
from slipway_operator.kubernetes.objects import Object

DOWNLOAD_SECONDS = 1800
"""How long a download may take before the rollout counts as stuck."""


def inference_deployment(md: ModelDeployment, platform: Platform) -> Object:
    """Replaces pods one by one and never takes one away before its successor is ready.

    `spec.replicas` is left out while an autoscaler owns it: writing it would undo its decisions.
    """
    meta = metadata(md, md.name, INFERENCE)
    spec: Object = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": md.spec.runtime.startup_timeout_seconds + DOWNLOAD_SECONDS,
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        "selector": {"matchLabels": selector(md, INFERENCE)},
        "template": pod_template(md, platform, _component(md, platform)),
    }
    if md.fixed_replicas is not None:
        meta["annotations"] = {FIXED_REPLICAS_ANNOTATION: "fixed"}
        spec["replicas"] = md.fixed_replicas
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


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
