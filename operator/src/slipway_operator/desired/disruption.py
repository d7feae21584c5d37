"""The PodDisruptionBudget of the inference pods."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import INFERENCE, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.desired.metadata import build_metadata
from slipway_operator.kubernetes.objects import Object


def build_disruption_budget(md: ModelDeployment) -> Object:
    """Return a budget that allows the eviction of one ready pod at a time, and of any unready pod.

    Workers need no budget: another one takes over the lease of their chunk.
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
