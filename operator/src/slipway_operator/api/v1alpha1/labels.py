"""Labels of everything that the operator creates, and the metadata that carries them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from slipway_operator.api.v1alpha1 import API_VERSION, GROUP, KIND
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment

MANAGER = "slipway-operator"
MODEL_LABEL = f"{GROUP}/model"
COMPONENT_LABEL = "app.kubernetes.io/component"
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_SELECTOR = f"{MANAGED_BY_LABEL}={MANAGER}"

APPLIED_ANNOTATION = f"{GROUP}/applied"
"""Hash of what was applied: tells a changed wish from an unchanged one."""
FIXED_REPLICAS_ANNOTATION = f"{GROUP}/replicas"
"""`fixed` while `spec.replicas` of a Deployment is the operator's, absent when an autoscaler's."""
VERSION_ANNOTATION = f"{GROUP}/model-version"

INFERENCE = "inference"
BATCH = "batch"


def selector(md: ModelDeployment, component: str) -> dict[str, str]:
    """The labels that pods are selected by. They never change: a selector is immutable."""
    return {MODEL_LABEL: md.name, COMPONENT_LABEL: component}


def labels(md: ModelDeployment, component: str) -> dict[str, str]:
    """All labels of an object of one component."""
    return {
        "app.kubernetes.io/name": f"slipway-{component}",
        "app.kubernetes.io/instance": md.name,
        "app.kubernetes.io/part-of": "slipway",
        MANAGED_BY_LABEL: MANAGER,
        **selector(md, component),
    }


def metadata(md: ModelDeployment, name: str, component: str) -> dict[str, Any]:
    """Metadata of a child: the ModelDeployment owns it, so that deleting is garbage collection."""
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": md.name,
        "uid": md.uid,
        "controller": True,
        # False: the owner may go first, nothing waits for anything.
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": md.namespace,
        "labels": labels(md, component),
        "ownerReferences": [owner],
    }


def with_hash(manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest, its own hash among its annotations."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}
