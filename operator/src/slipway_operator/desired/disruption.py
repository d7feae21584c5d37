"""The PodDisruptionBudget of the inference pods."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import INFERENCE, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.kubernetes.objects import Object


def build_disruption_budget(md: ModelDeployment) -> Object:
    """Lets a node be emptied one inference pod at a time, and broken pods at any time. Workers need
    none: their work is leased and goes on elsewhere.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": build_metadata(md, md.name, INFERENCE),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": build_selector(md, INFERENCE)},
        },
    }
