"""Makes the cluster what a ModelDeployment declares, and says how far that has come.

Every reconciliation looks at everything and remembers nothing, so it can be repeated, cut off at
any point, or run by the operator's successor.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from slipway_operator.api.v1alpha1 import KIND
from slipway_operator.api.v1alpha1.labels import FIXED_REPLICAS_ANNOTATION
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment, ModelDeploymentStatus
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import Key, OwnedObjects
from slipway_operator.configuration import Capabilities, Platform
from slipway_operator.control.metrics import RECONCILE_ERRORS, WRITES
from slipway_operator.control.served_versions import ServedVersions
from slipway_operator.control.state_reader import read_state
from slipway_operator.desired import build
from slipway_operator.desired.autoscaling import min_replicas_by_deployment
from slipway_operator.kubernetes.client import Client, Rejected, Unavailable
from slipway_operator.kubernetes.comparison import contains
from slipway_operator.kubernetes.kinds import CHILDREN, DEPLOYMENT, Kind, kind_of
from slipway_operator.observed import compute_status
from slipway_operator.observed.events import ready_event
from slipway_operator.observed.finding import Finding, fault
from slipway_operator.observed.invalid_spec import invalid_status

log = logging.getLogger(__name__)

REQUEUE_SECONDS = 15.0
"""How soon to try again what another object or a policy forbids: no watch tells when it goes."""

Object = dict[str, Any]


class Reconciler:
    """Reconciles one ModelDeployment at a time by its key; several may run side by side."""

    def __init__(
        self,
        client: Client,
        platform: Platform,
        deployments: ModelDeployments,
        objects: OwnedObjects,
        mount_failures: MountFailures,
        served_versions: ServedVersions,
    ) -> None:
        self.capabilities = Capabilities()
        self._client = client
        self._platform = platform
        self._deployments = deployments
        self._objects = objects
        self._mount_failures = mount_failures
        self._served_versions = served_versions

    async def reconcile(self, key: Key) -> float | None:
        """Returns in how many seconds to look again, if time alone can change the outcome. Raises
        Unavailable when the API server does not answer: then it is to be repeated.
        """
        raw = self._deployments.get(key)
        if raw is None or raw["metadata"].get("deletionTimestamp"):
            # Whatever it owned is garbage collected: there is nothing to do.
            return None
        try:
            md = ModelDeployment.model_validate(raw)
        except ValidationError as error:
            RECONCILE_ERRORS.labels(Reason.INVALID_SPEC).inc()
            await self._write_status(raw, invalid_status(raw, error, _now()))
            return None
        older_claimant = self._deployments.older_claimant(key)
        problem = await self._apply(key, md, older_claimant)
        seen = read_state(
            md, self._objects, self._mount_failures, older_claimant=older_claimant, problem=problem
        )
        if not md.spec.model.version:
            told = self._served_versions.of(key, seen.inference_pods)
            seen = replace(seen, served_version=told)
        observation = compute_status(md, self._platform, self.capabilities, seen, _now())
        if await self._write_status(raw, observation.status):
            await self._record(md, observation.status)
        return observation.requeue_after_seconds

    async def _apply(self, key: Key, md: ModelDeployment, older_claimant: str) -> Finding | None:
        """Apply what is missing or different, delete what is not desired any more."""
        problem = None
        desired = build(md, self._platform, self.capabilities, older_claimant=older_claimant)
        minimums = min_replicas_by_deployment(desired)
        for manifest in desired:
            min_replicas = minimums.get(manifest["metadata"]["name"], 0)
            found = await self._apply_one(key, md, manifest, min_replicas)
            problem = problem or found
        names = {(kind_of(each), each["metadata"]["name"]) for each in desired}
        for kind, name in self._objects.names(key):
            if kind in CHILDREN and (kind, name) not in names:
                await self._prune(key, md, kind, name)
        return problem

    async def _apply_one(
        self, key: Key, md: ModelDeployment, manifest: Object, min_replicas: int
    ) -> Finding | None:
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        current = self._objects.get(key, kind, name)
        count = replicas_to_hand_over(current, manifest, min_replicas)
        if current is not None and count is None and contains(current, manifest):
            return None
        if current is None:
            # Not among what carries our label: it may exist all the same, and be another's.
            current = await self._client.get(kind, md.namespace, name)
            count = replicas_to_hand_over(current, manifest, min_replicas)
        if current is not None and not _is_owned(current, md):
            if _is_predecessors(current, md):
                raise Unavailable(f"{kind.kind} {name} of an earlier {md.name} is being deleted")
            RECONCILE_ERRORS.labels(Reason.NAME_TAKEN).inc()
            found = fault(Reason.NAME_TAKEN, f"{kind.kind} `{name}` exists and is not ours")
            return replace(found, requeue_after_seconds=REQUEUE_SECONDS)
        try:
            if count is not None:
                await self._client.hand_over_replicas(kind, md.namespace, name, count)
            mark = self._objects.mark(key, kind, name)
            applied = await self._apply_over(kind, current, manifest)
            # The watch may have told of a later change or of the object's end meanwhile.
            if self._objects.mark(key, kind, name) == mark:
                self._objects.put(kind, applied)
        except Rejected as error:
            RECONCILE_ERRORS.labels(Reason.APPLY_REJECTED).inc()
            found = fault(Reason.APPLY_REJECTED, f"{kind.kind} `{name}`: {error}")
            return replace(found, requeue_after_seconds=REQUEUE_SECONDS)
        WRITES.labels(kind.kind, "apply").inc()
        log.info("applied %s %s/%s", kind.kind, md.namespace, name)
        return None

    async def _apply_over(self, kind: Kind, current: Object | None, manifest: Object) -> Object:
        try:
            return await self._client.apply(kind, manifest)
        except Rejected:
            if current is None:
                raise
            # Somebody added an item beside ours with which the object is invalid, such as a second
            # port of the same name.
            await self._client.overwrite(kind, manifest)
            return await self._client.apply(kind, manifest)

    async def _prune(self, key: Key, md: ModelDeployment, kind: Kind, name: str) -> None:
        current = self._objects.get(key, kind, name)
        if current is None or not _is_owned(current, md):
            return
        try:
            await self._client.delete(kind, md.namespace, name)
        except Rejected as error:
            RECONCILE_ERRORS.labels(Reason.APPLY_REJECTED).inc()
            log.warning("cannot delete %s %s/%s: %s", kind.kind, md.namespace, name, error)
            return
        self._objects.drop(kind, current)
        WRITES.labels(kind.kind, "delete").inc()
        log.info("deleted %s %s/%s", kind.kind, md.namespace, name)

    async def _record(self, md: ModelDeployment, status: Object) -> None:
        event = ready_event(md, status, _now())
        if event is None:
            return
        try:
            await self._client.create_event(event)
        except Rejected as error:
            log.warning("cannot record an event in %s: %s", md.namespace, error)

    async def _write_status(self, raw: Object, status: Object) -> bool:
        """Write the status if it is not what the cluster has; says whether it was written."""
        known = ModelDeploymentStatus.model_fields
        present = {
            field.alias: raw.get("status", {}).get(field.alias)
            for field in known.values()
            if field.alias in status
        }
        if present == status:
            return False
        meta = raw["metadata"]
        try:
            written = await self._client.write_status(meta["namespace"], meta["name"], status)
        except Rejected as error:
            # For instance because the namespace is being deleted.
            log.warning(
                "cannot write the status of %s/%s: %s", meta["namespace"], meta["name"], error
            )
            return False
        if written is None:
            return False
        # The watch will say so too; until then the next reconciliation must not write it again. But
        # a spec that the watch has yet to tell of must come from there, to be acted upon.
        if written["metadata"].get("generation") == meta.get("generation"):
            self._deployments.put(written)
        WRITES.labels("ModelDeployment", "status").inc()
        return True


def _is_owned(current: Object, md: ModelDeployment) -> bool:
    owners = current["metadata"].get("ownerReferences") or []
    return any(owner.get("controller") and owner["uid"] == md.uid for owner in owners)


def _is_predecessors(current: Object, md: ModelDeployment) -> bool:
    """Whether it belongs to a ModelDeployment that had the name before, and will be collected."""
    owners = current["metadata"].get("ownerReferences") or []
    return any((owner["kind"], owner["name"]) == (KIND, md.name) for owner in owners)


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


def _now() -> datetime:
    return datetime.now(UTC)
