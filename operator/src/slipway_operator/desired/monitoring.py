"""The ServiceMonitor, for clusters with the Prometheus Operator."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import COMPONENT_LABEL, INFERENCE, MODEL_LABEL
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.configuration import Platform
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.desired.names import METRICS_PATH, METRICS_PORT_NAME
from slipway_operator.kubernetes.objects import Object


def build_service_monitor(md: ModelDeployment, platform: Platform) -> Object:
    """Return the ServiceMonitor of inference pods and batch workers.

    Each series gets the labels `modeldeployment` and `component`. The object gets the platform's
    labels too, by which a Prometheus may select its ServiceMonitors.
    """
    meta = build_metadata(md, md.name, INFERENCE)
    relabelings = [
        {"targetLabel": "modeldeployment", "replacement": md.name},
        {
            "sourceLabels": [_meta_label(COMPONENT_LABEL)],
            "targetLabel": "component",
        },
    ]
    endpoint = {
        "port": METRICS_PORT_NAME,
        "path": METRICS_PATH,
        "interval": md.spec.monitoring.interval,
        "relabelings": relabelings,
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {**meta, "labels": {**platform.monitor_labels, **meta["labels"]}},
        "spec": {
            "selector": {"matchLabels": {MODEL_LABEL: md.name}},
            "endpoints": [endpoint],
        },
    }


def _meta_label(label: str) -> str:
    """Return the name of a Service's label during the service discovery of Prometheus."""
    return "__meta_kubernetes_service_label_" + "".join(
        character if character.isalnum() else "_" for character in label
    )
