"""The only I/O with the API server beside kopf's watches: lightkube behind a dozen verbs.

Server-side apply throughout: the operator states what it wishes and owns just that.
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
    CUSTOM_RESOURCE,
    EVENT,
    INGRESS_CLASS,
    MODEL_DEPLOYMENT,
    Kind,
)

HANDOVER_MANAGER = "slipway-replicas"
"""Field manager that holds `spec.replicas` from the operator letting go until an autoscaler takes
it: a field without owner would fall back to its default, 1. Of a Deployment at 0, which no HPA
touches, it holds the fewest pods.
"""
MANAGED_LABELS: dict[str, Any] = {MANAGED_BY_LABEL: MANAGER}
PAGE_SIZE = 500
TIMEOUT_SECONDS = 30.0
ALL_NAMESPACES = "*"
GLOBAL_KINDS = (CUSTOM_RESOURCE, INGRESS_CLASS)

Object = dict[str, Any]


class Rejected(Exception):
    """The API server does not take an object, and would not take it again as it is."""


class Unavailable(Exception):
    """The API server did not answer, or asks to come back later."""


class Client:
    """Reads and writes objects. Credentials come from KUBECONFIG or the pod's service account."""

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
        """Make the object so; raises Rejected or Unavailable."""
        return await self._patch(kind, manifest, MANAGER)

    async def overwrite(self, kind: Kind, manifest: Object) -> None:
        """Write the fields as they shall be, lists whole: it removes the items of others, which
        `apply` would keep even where they make the object invalid.
        """
        meta = manifest["metadata"]
        with _translating():
            await self._client.patch(
                _resource(kind),
                meta["name"],
                manifest,
                namespace=meta["namespace"],
                patch_type=PatchType.MERGE,
            )

    async def hand_over_replicas(self, kind: Kind, namespace: str, name: str, count: int) -> None:
        """Set `spec.replicas` in the place of an autoscaler, which takes it over from here."""
        manifest = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"replicas": count},
        }
        await self._patch(kind, manifest, HANDOVER_MANAGER)

    async def write_status(self, namespace: str, name: str, status: Object) -> Object | None:
        """Replace the status of a ModelDeployment; None when it is gone meanwhile."""
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
            if is_status(error, 404):
                return None
            raise _translated(error) from error

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, or None."""
        try:
            if kind in GLOBAL_KINDS:
                return dict(await self._client.get(_resource(kind), name))
            return dict(await self._client.get(_resource(kind), name, namespace=namespace))
        except httpx2.HTTPError as error:
            if is_status(error, 404):
                return None
            raise _translated(error) from error

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object with all that it owns; one that is gone already is fine."""
        try:
            await self._client.delete(
                _resource(kind), name, namespace=namespace, cascade=CascadeType.BACKGROUND
            )
        except httpx2.HTTPError as error:
            if not is_status(error, 404):
                raise _translated(error) from error

    async def list_managed(self, kind: Kind) -> AsyncIterator[Object]:
        """Every object of one kind that carries the operator's label; none where the cluster does
        not know the kind. Of ModelDeployments, which are the users' own, all.
        """
        labels = None if kind == MODEL_DEPLOYMENT else MANAGED_LABELS
        try:
            for namespace in self._namespaces:
                async for each in self._client.list(
                    _resource(kind), namespace=namespace, chunk_size=PAGE_SIZE, labels=labels
                ):
                    yield dict(each)
        except httpx2.HTTPError as error:
            if not is_status(error, 404):
                raise _translated(error) from error

    async def list_ingress_classes(self) -> list[str]:
        """Names of the cluster's ingress classes."""
        with _translating():
            return [
                each["metadata"]["name"]
                async for each in self._client.list(_resource(INGRESS_CLASS))
            ]

    async def create_event(self, event: Object) -> None:
        """Record an event; `kubectl describe` shows it."""
        with _translating():
            resource = _resource(EVENT)
            await self._client.create(resource(event))

    async def _patch(self, kind: Kind, manifest: Object, manager: str) -> Object:
        meta = manifest["metadata"]
        with _translating():
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


def is_status(error: httpx2.HTTPError, code: int) -> bool:
    """Whether the API server answered with this HTTP status."""
    return isinstance(error, httpx2.HTTPStatusError) and error.response.status_code == code


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except httpx2.HTTPError as error:
        raise _translated(error) from error


def _translated(error: httpx2.HTTPError) -> Exception:
    if not isinstance(error, httpx2.HTTPStatusError):
        return Unavailable(f"the API server does not answer: {error!r}")
    code = error.response.status_code
    message = error.status.message if isinstance(error, ApiError) else error.response.text[:500]
    if code in (401, 404, 409, 410, 429) or code >= 500:
        return Unavailable(f"{code}: {message}")
    return Rejected(str(message))


@cache
def _resource(kind: Kind) -> Any:
    """The class by which lightkube knows a kind. Built-in kinds are plain dicts too: their typed
    models would have to be loaded, and would drop fields that are newer than lightkube.
    """
    if kind == MODEL_DEPLOYMENT:
        return create_namespaced_resource(kind.group, kind.version, kind.kind, kind.plural)
    parent = GenericGlobalResource if kind in GLOBAL_KINDS else GenericNamespacedResource
    info = create_api_info(kind.group, kind.version, kind.kind, kind.plural)
    return type(kind.kind, (parent,), {"_api_info": info})
