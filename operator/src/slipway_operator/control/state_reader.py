"""Collects what is known of one ModelDeployment for the functions that judge it."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import BATCH, COMPONENT_LABEL, INFERENCE
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import Key, OwnedObjects
from slipway_operator.desired.names import batch_name
from slipway_operator.kubernetes.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    POD,
    SCALED_OBJECT,
)
from slipway_operator.observed import ObservedState
from slipway_operator.observed.finding import Finding, Object


def read_state(
    md: ModelDeployment,
    objects: OwnedObjects,
    mount_failures: MountFailures,
    *,
    older_claimant: str,
    problem: Finding | None,
) -> ObservedState:
    """Everything of the ModelDeployment that conditions depend on."""
    key = Key(md.namespace, md.name)
    pods = objects.of(key, POD)
    batch = batch_name(md.name)
    return ObservedState(
        inference=objects.get(key, DEPLOYMENT, md.name),
        batch=objects.get(key, DEPLOYMENT, batch),
        inference_pods=_of_component(pods, INFERENCE),
        batch_pods=_of_component(pods, BATCH),
        mount_failures=mount_failures.of(md.namespace, [pod["metadata"]["name"] for pod in pods]),
        inference_autoscaler=objects.get(key, AUTOSCALER, md.name),
        batch_autoscaler=objects.get(key, AUTOSCALER, batch),
        batch_scaled_object=objects.get(key, SCALED_OBJECT, batch),
        route=objects.get(key, INGRESS, md.name) or objects.get(key, HTTP_ROUTE, md.name),
        older_claimant=older_claimant,
        problem=problem,
    )


def _of_component(pods: list[Object], component: str) -> list[Object]:
    return [pod for pod in pods if pod["metadata"]["labels"].get(COMPONENT_LABEL) == component]
