"""The Deployment of the inference server."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import (
    FIXED_REPLICAS_ANNOTATION,
    INFERENCE,
    build_selector,
)
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import (
    DRAIN_DELAY_SECONDS,
    SHUTDOWN_MARGIN_SECONDS,
    build_inference_environment,
)
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import (
    HTTP_PORT,
    HTTP_PORT_NAME,
    METRICS_PORT,
    METRICS_PORT_NAME,
    SERVER_CONTAINER,
)
from slipway_operator.desired.pod import (
    ComponentSpec,
    build_pod_template,
    progress_deadline_seconds,
)
from slipway_operator.desired.probes import (
    build_liveness_probe,
    build_readiness_probe,
    build_startup_probe,
)
from slipway_operator.desired.resources import uses_gpu
from slipway_operator.kubernetes.objects import Object


def build_inference_deployment(md: ModelDeployment, platform: Platform) -> Object:
    """Return a Deployment that removes no pod before its successor is ready.

    It omits `spec.replicas` while an autoscaler owns that field.
    """
    meta = build_metadata(md, md.name, INFERENCE)
    spec: Object = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": progress_deadline_seconds(md),
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"},
        },
        "selector": {"matchLabels": build_selector(md, INFERENCE)},
        "template": build_pod_template(md, platform, _component(md, platform)),
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
        environment=build_inference_environment(md, platform),
        ports={HTTP_PORT_NAME: HTTP_PORT, METRICS_PORT_NAME: METRICS_PORT},
        probes={
            "startupProbe": build_startup_probe(runtime.startup_timeout_seconds),
            "readinessProbe": build_readiness_probe(),
            "livenessProbe": build_liveness_probe(period_seconds=10, failures=3),
        },
        resources=runtime.resources,
        grace_seconds=DRAIN_DELAY_SECONDS
        + runtime.request_timeout_seconds
        + SHUTDOWN_MARGIN_SECONDS,
        pod_template=md.spec.pod_template,
    )
