"""Requests to the API server. All of them are made here, except the watches, which are kopf's.

Objects are written by server-side apply: the operator owns the fields that it sets, and no others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Any, Self

import httpx2
from lightkube import AsyncClient
from lightkube.core.exceptions import ApiError, ConfigError
from lightkube.generic_resource import (
    GenericGlobalResource,
    GenericNamespacedResource,
    create_api_info,
    create_namespaced_resource,
)
from lightkube.types import CascadeType, PatchType

from slipway_operator.api.v1alpha1.labels import MANAGED_BY_LABEL, MANAGER
from slipway_operator.kubernetes.kinds import (
    CLUSTER_SCOPED,
    EVENT,
    INGRESS_CLASS,
    MODEL_DEPLOYMENT,
    Kind,
)
from slipway_operator.kubernetes.objects import Object

HANDOVER_MANAGER = "slipway-replicas"
"""Field manager that owns `spec.replicas` between the operator and an autoscaler.

Without an owner the field would fall back to its default of 1.
"""
MANAGED_LABELS: dict[str, Any] = {MANAGED_BY_LABEL: MANAGER}
PAGE_SIZE = 500
"""Maximum number of objects in one response to a list request."""
TIMEOUT_SECONDS = 30.0
METADATA_ONLY = {"Accept": "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}
"""Header with which the API server answers without the contents of an object."""
ALL_NAMESPACES = "*"


class Rejected(Exception):
    """The API server rejects an object; the same request would fail again."""


class Unavailable(Exception):
    """The API server does not respond, or the request has to be retried later."""


class Client:
    """Client of the API server. Credentials come from KUBECONFIG or the pod's service account.

    Every method raises Rejected or Unavailable when its request fails.
    """

    def __init__(self, namespaces: tuple[str, ...] = ()) -> None:
        try:
            self._client = AsyncClient(
                timeout=httpx2.Timeout(TIMEOUT_SECONDS), field_manager=MANAGER, trust_env=True
            )
        except ConfigError as error:
            raise Unavailable(f"there are no credentials for the API server: {error}") from error
        self._namespaces = namespaces or (ALL_NAMESPACES,)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        """Apply a manifest and return the resulting object."""
        return await self._patch(kind, manifest, MANAGER)

    async def overwrite(self, kind: Kind, manifest: Object) -> None:
        """Replace the fields of a manifest, lists included.

        Unlike `apply` it removes the list items of other managers, for cases in which they make the
        object invalid.
        """
        meta = manifest["metadata"]
        with _translated_errors():
            await self._client.patch(
                _resource(kind),
                meta["name"],
                manifest,
                namespace=meta["namespace"],
                patch_type=PatchType.MERGE,
            )

    async def hand_over_replicas(self, kind: Kind, namespace: str, name: str, count: int) -> None:
        """Set `spec.replicas` as the field manager from which an autoscaler takes it over."""
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"replicas": count},
        }
        await self._patch(kind, manifest, HANDOVER_MANAGER)

    async def write_status(self, namespace: str, name: str, status: Object) -> Object | None:
        """Replace the status of a ModelDeployment and return the object, None if it is deleted."""
        manifest = {
            "apiVersion": MODEL_DEPLOYMENT.api_version,
            "kind": MODEL_DEPLOYMENT.kind,
            "metadata": {"namespace": namespace, "name": name},
            "status": status,
        }
        try:
            return dict(
                await self._client.patch(
                    _resource(MODEL_DEPLOYMENT).Status,
                    name,
                    manifest,
                    namespace=namespace,
                    patch_type=PatchType.APPLY,
                    force=True,
                )
            )
        except httpx2.HTTPError as error:
            if _is_not_found(error):
                return None
            raise _translate(error) from error

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Return an object, None when it does not exist."""
        try:
            if kind in CLUSTER_SCOPED:
                return dict(await self._client.get(_resource(kind), name))
            return dict(await self._client.get(_resource(kind), name, namespace=namespace))
        except httpx2.HTTPError as error:
            if _is_not_found(error):
                return None
            raise _translate(error) from error

    async def get_labels(self, kind: Kind, namespace: str, name: str) -> dict[str, str] | None:
        """Return the labels of an object without its contents, None when it does not exist."""
        try:
            # lightkube's public methods send no headers of the caller.
            found = await self._client._client.request(
                "get", _resource(kind), name=name, namespace=namespace, headers=METADATA_ONLY
            )
        except httpx2.HTTPError as error:
            if _is_not_found(error):
                return None
            raise _translate(error) from error
        return dict(found["metadata"].get("labels") or {})

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object and what it owns, if it exists."""
        try:
            await self._client.delete(
                _resource(kind), name, namespace=namespace, cascade=CascadeType.BACKGROUND
            )
        except httpx2.HTTPError as error:
            if not _is_not_found(error):
                raise _translate(error) from error

    async def list_managed(self, kind: Kind) -> AsyncIterator[Object]:
        """Yield every ModelDeployment, or every object of another kind with the operator's label.

        Yields nothing when the cluster does not know the kind.
        """
        labels = None if kind == MODEL_DEPLOYMENT else MANAGED_LABELS
        try:
            for namespace in self._namespaces:
                async for each in self._client.list(
                    _resource(kind), namespace=namespace, chunk_size=PAGE_SIZE, labels=labels
                ):
                    yield dict(each)
        except httpx2.HTTPError as error:
            if not _is_not_found(error):
                raise _translate(error) from error

    async def list_ingress_classes(self) -> list[str]:
        """Return the names of the cluster's ingress classes."""
        with _translated_errors():
            return [
                each["metadata"]["name"]
                async for each in self._client.list(_resource(INGRESS_CLASS))
            ]

    async def create_event(self, event: Object) -> None:
        """Create an Event, which `kubectl describe` shows."""
        with _translated_errors():
            resource = _resource(EVENT)
            await self._client.create(resource(event))

    async def _patch(self, kind: Kind, manifest: Object, manager: str) -> Object:
        meta = manifest["metadata"]
        with _translated_errors():
            return dict(
                await self._client.patch(
                    _resource(kind),
                    meta["name"],
                    manifest,
                    namespace=meta.get("namespace"),
                    patch_type=PatchType.APPLY,
                    field_manager=manager,
                    force=True,
                )
            )


def _is_not_found(error: httpx2.HTTPError) -> bool:
    return isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == 404


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        raise _translate(error) from error


def _translate(error: httpx2.HTTPError) -> Exception:
    if not isinstance(error, httpx2.HTTPStatusError):
        return Unavailable(f"the API server does not answer: {error!r}")
    code = error.response.status_code
    message = error.status.message if isinstance(error, ApiError) else error.response.text[:500]
    if code in (401, 404, 409, 410, 429) or code >= 500:
        return Unavailable(f"{code}: {message}")
    return Rejected(str(message))


@cache
def _resource(kind: Kind) -> Any:
    """Return lightkube's class for a kind.

    Built-in kinds are generic resources too: lightkube's typed models drop fields that are newer
    than lightkube.
    """
    if kind == MODEL_DEPLOYMENT:
        return create_namespaced_resource(kind.group, kind.version, kind.kind, kind.plural)
    parent = GenericGlobalResource if kind in CLUSTER_SCOPED else GenericNamespacedResource
    info = create_api_info(kind.group, kind.version, kind.kind, kind.plural)
    return type(kind.kind, (parent,), {"_api_info": info})
