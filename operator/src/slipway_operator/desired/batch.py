"""The Deployment of the batch workers."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import BATCH, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.configuration import Platform
from slipway_operator.desired.environment import (
    SHUTDOWN_MARGIN_SECONDS,
    WORKER_DRAIN_SECONDS,
    build_batch_environment,
)
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import (
    METRICS_PORT,
    METRICS_PORT_NAME,
    WORKER_CONTAINER,
    batch_name,
)
from slipway_operator.desired.pod import (
    ComponentSpec,
    build_pod_template,
    progress_deadline_seconds,
)
from slipway_operator.desired.probes import build_liveness_probe, build_startup_probe
from slipway_operator.desired.resources import get_batch_resources, uses_gpu
from slipway_operator.kubernetes.objects import Object


def build_batch_deployment(md: ModelDeployment, platform: Platform, batch: Batch) -> Object:
    """Return the Deployment without `spec.replicas`, which an autoscaler always owns."""
    spec = {
        "revisionHistoryLimit": 3,
        "progressDeadlineSeconds": progress_deadline_seconds(md),
        "selector": {"matchLabels": build_selector(md, BATCH)},
        "template": build_pod_template(md, platform, _component(md, platform, batch)),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": build_metadata(md, batch_name(md.name), BATCH),
        "spec": spec,
    }


def _component(md: ModelDeployment, platform: Platform, batch: Batch) -> ComponentSpec:
    gpu = uses_gpu(get_batch_resources(md))
    default_image = (gpu and platform.batch_cuda_image) or platform.batch_image
    return ComponentSpec(
        name=BATCH,
        container=WORKER_CONTAINER,
        image=batch.image or default_image,
        environment=build_batch_environment(md, platform),
        ports={METRICS_PORT_NAME: METRICS_PORT},
        probes={
            "startupProbe": build_startup_probe(md.spec.runtime.startup_timeout_seconds),
            "livenessProbe": build_liveness_probe(period_seconds=15, failures=4),
        },
        resources=get_batch_resources(md),
        grace_seconds=WORKER_DRAIN_SECONDS + SHUTDOWN_MARGIN_SECONDS,
        pod_template=batch.pod_template,
    )
