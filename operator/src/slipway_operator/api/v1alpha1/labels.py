"""Labels and annotations of the objects that the operator creates."""

from __future__ import annotations

from slipway_operator.api.v1alpha1 import GROUP
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment

MANAGER = "slipway-operator"
"""Field manager of the operator, and the value of its `managed-by` label."""

MODEL_LABEL = f"{GROUP}/model"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
PART_OF_LABEL = "app.kubernetes.io/part-of"
PRODUCT = "slipway"
"""Value of the `part-of` label of all objects of the product."""
CREDENTIALS_LABEL = f"{GROUP}/credentials"
"""`true` on Secrets that ModelDeployments may read."""
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGER}"

APPLIED_ANNOTATION = f"{GROUP}/applied"
"""Hash of the applied manifest: it changes whenever the desired state does."""
FIXED_REPLICAS_ANNOTATION = f"{GROUP}/replicas"
"""`fixed` on a Deployment whose `spec.replicas` the operator owns; absent under an autoscaler."""
VERSION_ANNOTATION = f"{GROUP}/model-version"

INFERENCE = "inference"
BATCH = "batch"


def build_selector(md: ModelDeployment, component: str) -> dict[str, str]:
    """Return the labels that select the pods of a component. They are immutable."""
    return {MODEL_LABEL: md.name, COMPONENT_LABEL: component}


def build_labels(md: ModelDeployment, component: str) -> dict[str, str]:
    """Return all labels of the objects of a component."""
    return {
        "app.kubernetes.io/name": f"slipway-{component}",
        "app.kubernetes.io/instance": md.name,
        PART_OF_LABEL: PRODUCT,
        MANAGED_BY_LABEL: MANAGER,
        **build_selector(md, component),
    }
