"""The PodDisruptionBudget of the inference pods."""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.labels import INFERENCE, metadata, selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment


def disruption_budget(md: ModelDeployment) -> dict[str, Any]:
    """Lets a node be emptied one inference pod at a time, and broken pods at any time. Workers need
    none: their work is leased and goes on elsewhere.
    """
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": metadata(md, md.name, INFERENCE),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(md, INFERENCE)},
        },
    }
