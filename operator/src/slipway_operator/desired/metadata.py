"""Metadata of the objects that a ModelDeployment owns."""

from __future__ import annotations

import hashlib
import json

from slipway_operator.api.v1alpha1 import API_VERSION, KIND
from slipway_operator.api.v1alpha1.labels import APPLIED_ANNOTATION, build_labels
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.kubernetes.objects import Object


def build_metadata(md: ModelDeployment, name: str, component: str) -> Object:
    """Return the metadata of a child, with the ModelDeployment as its owner.

    Deleting the ModelDeployment leaves its children to the garbage collector.
    """
    owner = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": md.name,
        "uid": md.uid,
        "controller": True,
        # Deleting the owner does not wait for its children.
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": md.namespace,
        "labels": build_labels(md, component),
        "ownerReferences": [owner],
    }


def add_hash(manifest: Object) -> Object:
    """Return the manifest with its hash as an annotation."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}
