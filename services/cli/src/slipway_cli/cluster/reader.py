"""Reads objects of a cluster, with the rights of the user's kubeconfig. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from lightkube import Client, KubeConfig
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericNamespacedResource,
    create_api_info,
)
from yaml import YAMLError

Object = dict[str, Any]

TIMEOUT_SECONDS = 10.0
PAGE_SIZE = 500
"""Maximum number of objects in one response to a list request."""
ALL_NAMESPACES = "*"
METADATA_ONLY = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
"""Header with which the API server answers without the contents of an object."""
OPERATOR_LABELS: dict[str, Any] = {
    "app.kubernetes.io/part-of": "slipway",
    "app.kubernetes.io/component": "operator",
}


class ClusterUnreadable(Exception):
    """The cluster, or a kind of its objects, cannot be read."""


def _kind(api_version: str, kind: str, plural: str, *, is_namespaced: bool) -> Any:
    group, _, version = api_version.rpartition("/")
    parent = GenericNamespacedResource if is_namespaced else GenericGlobalResource
    info = create_api_info(group, version, kind, plural)
    return type(kind, (parent,), {"_api_info": info})


CRD = _kind(
    "apiextensions.k8s.io/v1", "CustomResourceDefinition", "customresourcedefinitions",
    is_namespaced=False,
)  # fmt: skip
API_SERVICE = _kind("apiregistration.k8s.io/v1", "APIService", "apiservices", is_namespaced=False)
ADMISSION_POLICY = _kind(
    "admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies",
    is_namespaced=False,
)  # fmt: skip
INGRESS_CLASS = _kind("networking.k8s.io/v1", "IngressClass", "ingressclasses", is_namespaced=False)
NAMESPACE = _kind("v1", "Namespace", "namespaces", is_namespaced=False)
NODE = _kind("v1", "Node", "nodes", is_namespaced=False)
DAEMON_SET = _kind("apps/v1", "DaemonSet", "daemonsets", is_namespaced=True)
DEPLOYMENT = _kind("apps/v1", "Deployment", "deployments", is_namespaced=True)
SECRET = _kind("v1", "Secret", "secrets", is_namespaced=True)
MODEL_DEPLOYMENT = _kind(
    "serving.slipway.dev/v1alpha1", "ModelDeployment", "modeldeployments", is_namespaced=True
)


class ClusterReader:
    """Objects of one cluster. Every method raises ClusterUnreadable when its request fails."""

    def __init__(self, kubeconfig: Path | None = None, context: str = "") -> None:
        try:
            config = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_env()
            chosen = config.get(context or None)
            if chosen is None:
                raise ConfigError("it has no context")
            self._client = Client(config=chosen, timeout=httpx2.Timeout(TIMEOUT_SECONDS))
        except (ConfigError, OSError, ValueError) as error:
            raise ClusterUnreadable(f"there is no usable kubeconfig: {error}") from error
        except (YAMLError, LookupError, AttributeError, TypeError) as error:  # not the form of one
            raise ClusterUnreadable(
                "the kubeconfig is empty or damaged: name another one by --kubeconfig or KUBECONFIG"
            ) from error

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, kind: Any, name: str) -> Object | None:
        """Return an object without a namespace, None when it does not exist."""
        with _translated():
            try:
                return dict(self._client.get(kind, name))
            except ApiError as error:
                if error.status.code == 404:
                    return None
                raise

    def list_all(self, kind: Any, labels: dict[str, Any] | None = None) -> list[Object]:
        """Return the objects of a kind in all namespaces; none when the kind is unknown."""
        is_namespaced = issubclass(kind, GenericNamespacedResource)
        where: dict[str, Any] = {"namespace": ALL_NAMESPACES} if is_namespaced else {}
        with _translated():
            try:
                listed = self._client.list(kind, labels=labels, chunk_size=PAGE_SIZE, **where)
                return [dict(each) for each in listed]
            except ApiError as error:
                if error.status.code == 404:
                    return []
                raise

    def secret_labels(self, namespace: str, name: str) -> dict[str, str] | None:
        """Return the labels of a Secret without its contents, None when it does not exist."""
        with _translated():
            try:
                # lightkube's public methods send no headers of the caller.
                found = self._client._client.request(
                    "get", SECRET, name=name, namespace=namespace, headers=METADATA_ONLY
                )
            except ApiError as error:
                if error.status.code == 404:
                    return None
                raise
        return dict(found["metadata"].get("labels") or {})

    def operators(self) -> list[Object]:
        """Return the Deployments of Slipway's operators."""
        return self.list_all(DEPLOYMENT, OPERATOR_LABELS)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise ClusterUnreadable(str(error.status.message)) from error
    except httpx2.HTTPError as error:
        raise ClusterUnreadable(f"the API server does not answer: {error!r}") from error
