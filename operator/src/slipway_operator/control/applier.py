"""Server-side apply of the desired objects of one ModelDeployment, and pruning of the others."""

from __future__ import annotations

import logging
from dataclasses import replace

from slipway_operator.api.v1alpha1 import KIND
from slipway_operator.api.v1alpha1.labels import FIXED_REPLICAS_ANNOTATION
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.cache.owned_objects import OwnedObjects
from slipway_operator.control.metrics import RECONCILE_ERRORS, WRITES
from slipway_operator.desired.autoscaling import min_replicas_by_deployment
from slipway_operator.kubernetes.client import Client, Rejected, Unavailable
from slipway_operator.kubernetes.comparison import contains
from slipway_operator.kubernetes.kinds import CHILDREN, DEPLOYMENT, Kind, kind_of
from slipway_operator.kubernetes.objects import Key, Object
from slipway_operator.observed.finding import Finding, fault

log = logging.getLogger(__name__)

RETRY_SECONDS = 15.0
"""Time until an object is applied again that another object or a policy prevents.

No watch reports when that obstacle disappears.
"""


class Applier:
    """Writes to the cluster what differs between its cache and the desired objects."""

    def __init__(self, client: Client, objects: OwnedObjects) -> None:
        self._client = client
        self._objects = objects

    async def apply(
        self, md: ModelDeployment, desired: list[Object], *, keeps_pods: bool = False
    ) -> Finding | None:
        """Apply missing and different objects, delete the others. Return the first problem.

        With `keeps_pods` Deployments are kept though they are not desired. Raises Unavailable when
        the API server does not respond.
        """
        problems = []
        min_replicas = min_replicas_by_deployment(desired)
        for manifest in desired:
            name = manifest["metadata"]["name"]
            problems.append(await self._apply_one(md, manifest, min_replicas.get(name, 0)))
        await self._prune(md, desired, keeps_pods)
        return next((each for each in problems if each is not None), None)

    async def _apply_one(
        self, md: ModelDeployment, manifest: Object, min_replicas: int
    ) -> Finding | None:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        current = self._objects.get(Key(md.namespace, md.name), kind, name)
        if current is None:
            # The cache has only objects with the operator's label.
            current = await self._client.get(kind, md.namespace, name)
        elif _is_up_to_date(current, manifest, min_replicas):
            return None
        if current is not None and not _is_owned(current, md):
            if _is_owned_by_predecessor(current, md):
                raise Unavailable(f"{kind.kind} {name} of an earlier {md.name} is being deleted")
            return _problem(
                Reason.NAME_TAKEN,
                f"{kind.kind} `{name}` exists and is not owned by this ModelDeployment",
            )
        try:
            await self._write(md, current, manifest, min_replicas)
        except Rejected as error:
            return _problem(Reason.APPLY_REJECTED, f"{kind.kind} `{name}`: {error}")
        WRITES.labels(kind.kind, "apply").inc()
        log.info("applied %s %s/%s", kind.kind, md.namespace, name)
        return None

    async def _write(
        self, md: ModelDeployment, current: Object | None, manifest: Object, min_replicas: int
    ) -> None:
        key = Key(md.namespace, md.name)
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        replicas = replicas_to_hand_over(current, manifest, min_replicas)
        if replicas is not None:
            await self._client.hand_over_replicas(kind, md.namespace, name, replicas)
        before = self._objects.encoded(key, kind, name)
        applied = await self._apply_over(kind, current, manifest)
        # Meanwhile the watch may have reported a later change, or the deletion of the object.
        if self._objects.encoded(key, kind, name) == before:
            self._objects.put(kind, applied)

    async def _apply_over(self, kind: Kind, current: Object | None, manifest: Object) -> Object:
        try:
            return await self._client.apply(kind, manifest)
        except Rejected:
            if current is None:
                raise
            # An item that another manager added may make the object invalid, for example a second
            # port of the same name.
            await self._client.overwrite(kind, manifest)
            return await self._client.apply(kind, manifest)

    async def _prune(self, md: ModelDeployment, desired: list[Object], keeps_pods: bool) -> None:
        key = Key(md.namespace, md.name)
        kept = {(kind_of(each), each["metadata"]["name"]) for each in desired}
        for kind, name in self._objects.names(key):
            current = self._objects.get(key, kind, name)
            if kind not in CHILDREN or (kind, name) in kept or current is None:
                continue
            if keeps_pods and kind == DEPLOYMENT:
                continue
            if _is_owned(current, md):
                await self._delete(kind, current)

    async def _delete(self, kind: Kind, current: Object) -> None:
        namespace, name = current["metadata"]["namespace"], current["metadata"]["name"]
        try:
            await self._client.delete(kind, namespace, name)
        except Rejected as error:
            RECONCILE_ERRORS.labels(Reason.APPLY_REJECTED).inc()
            log.warning("cannot delete %s %s/%s: %s", kind.kind, namespace, name, error)
            return
        self._objects.drop(kind, current)
        WRITES.labels(kind.kind, "delete").inc()
        log.info("deleted %s %s/%s", kind.kind, namespace, name)


def replicas_to_hand_over(
    current: Object | None, manifest: Object, min_replicas: int
) -> int | None:
    """Return the number of pods that an autoscaler starts with, None when it needs no hand-over.

    An autoscaler takes over as many pods as the operator kept, and `min_replicas` when there are
    none, because an HPA ignores a Deployment at 0. `min_replicas` is 0 where no HPA scales it.
    """
    if current is None or kind_of(manifest) != DEPLOYMENT or "replicas" in manifest["spec"]:
        return None
    count = int(current["spec"].get("replicas", 1))
    if count == 0 and min_replicas:
        return min_replicas
    annotations = current["metadata"].get("annotations") or {}
    return count if FIXED_REPLICAS_ANNOTATION in annotations else None


def _is_up_to_date(current: Object, manifest: Object, min_replicas: int) -> bool:
    needs_hand_over = replicas_to_hand_over(current, manifest, min_replicas) is not None
    return not needs_hand_over and contains(current, manifest)


def _is_owned(current: Object, md: ModelDeployment) -> bool:
    owners = current["metadata"].get("ownerReferences") or []
    return any(owner.get("controller") and owner["uid"] == md.uid for owner in owners)


def _is_owned_by_predecessor(current: Object, md: ModelDeployment) -> bool:
    # The garbage collector deletes what a deleted ModelDeployment of the same name left behind.
    owners = current["metadata"].get("ownerReferences") or []
    return any((owner["kind"], owner["name"]) == (KIND, md.name) for owner in owners)


def _problem(reason: Reason, fact: str) -> Finding:
    RECONCILE_ERRORS.labels(reason).inc()
    return replace(fault(reason, fact), requeue_after_seconds=RETRY_SECONDS)
