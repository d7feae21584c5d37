"""Reading of the observed state of one ModelDeployment from the caches."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.labels import BATCH, COMPONENT_LABEL, INFERENCE
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import OwnedObjects
from slipway_operator.desired.names import batch_name
from slipway_operator.kubernetes.kinds import (
    AUTOSCALER,
    DEPLOYMENT,
    HTTP_ROUTE,
    INGRESS,
    POD,
    SCALED_OBJECT,
)
from slipway_operator.kubernetes.objects import Key, Object
from slipway_operator.observed import ObservedState


def read_state(key: Key, objects: OwnedObjects, mount_failures: MountFailures) -> ObservedState:
    """Return what the caches have of a ModelDeployment."""
    pods = objects.of_kind(key, POD)
    name, batch = key.name, batch_name(key.name)
    return ObservedState(
        inference=objects.get(key, DEPLOYMENT, name),
        batch=objects.get(key, DEPLOYMENT, batch),
        inference_pods=_of_component(pods, INFERENCE),
        batch_pods=_of_component(pods, BATCH),
        mount_failures=mount_failures.messages(
            key.namespace, [pod["metadata"]["name"] for pod in pods]
        ),
        inference_autoscaler=objects.get(key, AUTOSCALER, name),
        batch_autoscaler=objects.get(key, AUTOSCALER, batch),
        batch_scaled_object=objects.get(key, SCALED_OBJECT, batch),
        route=objects.get(key, INGRESS, name) or objects.get(key, HTTP_ROUTE, name),
    )


def _of_component(pods: list[Object], component: str) -> list[Object]:
    return [pod for pod in pods if pod["metadata"]["labels"].get(COMPONENT_LABEL) == component]
