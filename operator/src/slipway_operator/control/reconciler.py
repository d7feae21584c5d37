"""Reconciliation of one ModelDeployment with the cluster.

It is level-based: every reconciliation looks at everything and remembers nothing. It can be
repeated, interrupted at any point, or continued by another instance of the operator.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import ValidationError

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment, ModelDeploymentStatus
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import OwnedObjects
from slipway_operator.configuration import Platform
from slipway_operator.control.applier import Applier
from slipway_operator.control.metrics import RECONCILE_ERRORS, WRITES
from slipway_operator.control.references import References
from slipway_operator.control.server_reports import ServerReports
from slipway_operator.control.state_reader import read_state
from slipway_operator.desired import build_children
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.client import Client, Rejected
from slipway_operator.kubernetes.objects import Key, Object
from slipway_operator.observed import compute_status
from slipway_operator.observed.events import build_ready_event
from slipway_operator.observed.invalid_spec import build_invalid_status
from slipway_operator.plan import Plan

log = logging.getLogger(__name__)


class Reconciler:
    """Reconciles one ModelDeployment per call. Calls for different keys may run concurrently."""

    def __init__(
        self,
        client: Client,
        platform: Platform,
        deployments: ModelDeployments,
        objects: OwnedObjects,
        mount_failures: MountFailures,
        server_reports: ServerReports,
    ) -> None:
        self._client = client
        self._platform = platform
        self._deployments = deployments
        self._objects = objects
        self._mount_failures = mount_failures
        self._server_reports = server_reports
        self._applier = Applier(client, objects)
        self._references = References(client, platform)

    async def reconcile(self, key: Key, capabilities: Capabilities) -> float | None:
        """Reconcile a ModelDeployment and return the seconds after which to do it again.

        Return None when only an event can change the outcome. Raises Unavailable when the API
        server does not respond; the caller has to retry.
        """
        body = self._deployments.get(key)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None  # The garbage collector deletes its children.
        try:
            md = ModelDeployment.model_validate(body)
        except ValidationError as error:
            RECONCILE_ERRORS.labels(Reason.INVALID_SPEC).inc()
            await self._write_status(body, build_invalid_status(body, error, _now()))
            return None
        older_claimant = self._deployments.route_claims.older_claimant(key)
        plan = Plan.of(
            md,
            self._platform,
            capabilities,
            older_claimant=older_claimant,
            refused_reference=await self._references.find_refusal(md),
        )
        problem = await self._applier.apply(
            md, build_children(plan), keeps_pods=plan.refusal is not None
        )
        state = read_state(key, self._objects, self._mount_failures)
        report = self._server_reports.get(key, state.inference_pods)
        state = replace(state, problem=problem, report=report)
        computed = compute_status(plan, state, _now())
        if await self._write_status(body, computed.status):
            await self._record_event(md, computed.status)
        return computed.requeue_after_seconds

    async def _record_event(self, md: ModelDeployment, status: Object) -> None:
        event = build_ready_event(md, status, _now())
        if event is None:
            return
        try:
            await self._client.create_event(event)
        except Rejected as error:
            log.warning("cannot create an event in %s: %s", md.namespace, error)

    async def _write_status(self, body: Object, status: Object) -> bool:
        """Write the status if it differs from the current one. Return whether it was written."""
        if _is_current(body.get("status", {}), status):
            return False
        meta = body["metadata"]
        try:
            written = await self._client.write_status(meta["namespace"], meta["name"], status)
        except Rejected as error:
            # For example while the namespace is being deleted.
            log.warning(
                "cannot write the status of %s/%s: %s", meta["namespace"], meta["name"], error
            )
            return False
        if written is None:
            return False
        # The cache must not wait for the watch, or the next reconciliation would write the status
        # again. A newer spec, however, has to come from the watch, which triggers a reconciliation.
        if written["metadata"].get("generation") == meta.get("generation"):
            self._deployments.put(written)
        WRITES.labels("ModelDeployment", "status").inc()
        return True


def _is_current(present: Object, status: Object) -> bool:
    """Return whether the fields of this API version are the same in both."""
    fields = [str(field.alias) for field in ModelDeploymentStatus.model_fields.values()]
    return {name: present.get(name) for name in fields if name in status} == status


def _now() -> datetime:
    return datetime.now(UTC)
