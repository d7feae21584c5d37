"""Puts the findings together: conditions, the summary Ready, and the rest of the status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_operator.api.v1alpha1.labels import INFERENCE, selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.configuration import Capabilities, Platform
from slipway_operator.desired.batch import runs_batch
from slipway_operator.desired.inference import fixed_replicas
from slipway_operator.desired.pod import model_version
from slipway_operator.desired.routing import service_url, url_of
from slipway_operator.observed.autoscalers import autoscaler, scaled_object
from slipway_operator.observed.finding import (
    Finding,
    Object,
    as_condition,
    fault,
    holds,
    waiting,
)
from slipway_operator.observed.routes import route
from slipway_operator.observed.workload import Workload

NON_BLOCKING = frozenset({Reason.KEDA_NOT_INSTALLED})
"""Faults that are worth a condition and do not make the ModelDeployment unready."""


@dataclass(frozen=True)
class ObservedState:
    """All that is known of one ModelDeployment in the cluster."""

    inference: Object | None = None
    batch: Object | None = None
    inference_pods: list[Object] = field(default_factory=list)
    batch_pods: list[Object] = field(default_factory=list)
    mount_failures: Mapping[str, str] = field(default_factory=dict)
    inference_autoscaler: Object | None = None
    batch_autoscaler: Object | None = None
    batch_scaled_object: Object | None = None
    route: Object | None = None
    older_claimant: str = ""
    served_version: str = ""
    """What the newest ready server said that it serves, if it was asked and has answered."""
    problem: Finding | None = None
    """What the operator met when it applied the objects."""


@dataclass(frozen=True)
class ComputedStatus:
    """The status to write, and in how many seconds to look again though nothing happened."""

    status: dict[str, Any]
    requeue_after_seconds: float | None


def compute_status(
    md: ModelDeployment,
    platform: Platform,
    capabilities: Capabilities,
    seen: ObservedState,
    now: datetime,
) -> ComputedStatus:
    """The status of a ModelDeployment; `lastTransitionTime` is kept where nothing changed."""
    workload = Workload(
        seen.inference, seen.inference_pods, seen.mount_failures, _needed(md), _was_rolled_out(md)
    )
    findings: dict[str, Finding] = {
        "Reconciled": seen.problem or holds(Reason.APPLIED, "every object is as declared"),
        "Available": _available(workload),
        "Progressing": workload.progress(),
    }
    if md.spec.batch and md.spec.batch.enabled:
        findings["BatchReady"] = _batch(md, platform, seen, md.spec.batch)
    if md.spec.autoscaling or runs_batch(md, platform):
        findings["AutoscalingReady"] = _autoscaling(md, platform, capabilities, seen, workload, now)
    if md.spec.route.enabled and platform.routing != "none":
        findings["RouteReady"] = route(md, platform, capabilities, seen.route, seen.older_claimant)
    findings = {"Ready": _ready(findings, workload), **findings}
    rechecks = [
        each.requeue_after_seconds for each in findings.values() if each.requeue_after_seconds
    ]
    status = {
        "observedGeneration": md.generation,
        "url": service_url(md) if seen.older_claimant else url_of(md, platform),
        "replicas": workload.replicas,
        "readyReplicas": workload.ready,
        "selector": ",".join(f"{k}={v}" for k, v in sorted(selector(md, INFERENCE).items())),
        "modelVersion": _served_version(md, workload, seen.served_version),
        "conditions": _conditions(md, findings, now),
    }
    return ComputedStatus(status, min(rechecks, default=None))


def _served_version(md: ModelDeployment, workload: Workload, told: str) -> str:
    """Of the model that answers: during a rollout the earlier one; after it what the spec says,
    else what a server told. Until one did, what was reported of this rollout before.
    """
    if not workload.is_rolled_out() or workload.ready == 0:
        return md.status.model_version
    reported = md.status.model_version if _was_rolled_out(md) else ""
    return md.spec.model.version or told or reported or model_version(md)


def _needed(md: ModelDeployment) -> int:
    return md.spec.autoscaling.min_replicas if md.spec.autoscaling else fixed_replicas(md)


def _needed_workers(batch: Batch, live: Object | None) -> int:
    """Workers without which no work is done; none while their autoscaler wants none."""
    wanted = int((live or {}).get("spec", {}).get("replicas", 1))
    return min(wanted, max(1, batch.min_replicas))


def _was_rolled_out(md: ModelDeployment) -> bool:
    return _said(md, "Progressing", Reason.ROLLED_OUT)


def _said(md: ModelDeployment, kind: str, reason: Reason) -> bool:
    """Whether a condition had this reason, for the present spec, when last written."""
    return any(
        each.type == kind and each.reason == reason and each.observed_generation == md.generation
        for each in md.status.conditions
    )


def _available(workload: Workload) -> Finding:
    count = f"{workload.ready}/{workload.needed} replicas ready"
    if workload.needed == 0:
        return fault(Reason.STOPPED, "no replica is wanted")
    if workload.ready >= workload.needed:
        return holds(Reason.SERVING, f"{workload.ready}/{workload.replicas} replicas ready")
    found = workload.fault()
    if found is not None:
        return Finding("False", found.reason, f"{count}; {found.message}")
    if workload.ready:
        return fault(Reason.NOT_AVAILABLE, count)
    progress = workload.progress()
    return Finding("False", progress.reason, f"{count}; {progress.message}")


def _ready(findings: dict[str, Finding], workload: Workload) -> Finding:
    """True when the declared model serves and nothing is wrong; else the first cause."""
    for name in ("Reconciled", "Available", "Progressing"):
        found = findings[name]
        if found.status != "True":
            return Finding("False", found.reason, found.message)
    for name in ("BatchReady", "AutoscalingReady", "RouteReady"):
        found = findings.get(name, findings["Reconciled"])
        if found.is_fault and found.reason not in NON_BLOCKING:
            return Finding("False", found.reason, found.message)
    return holds(Reason.SERVING, f"{workload.ready}/{workload.replicas} replicas ready")


def _batch(md: ModelDeployment, platform: Platform, seen: ObservedState, batch: Batch) -> Finding:
    if not runs_batch(md, platform):
        return fault(Reason.DATABASE_NOT_CONFIGURED, "batch workers have no database or queue")
    workload = Workload(
        seen.batch,
        seen.batch_pods,
        seen.mount_failures,
        _needed_workers(batch, seen.batch),
        _said(md, "BatchReady", Reason.WORKING),
    )
    found = workload.fault()
    if found is not None:
        return Finding("False", found.reason, f"batch workers: {found.message}")
    if workload.ready:
        return holds(Reason.WORKING, f"{workload.ready}/{workload.replicas} workers ready")
    wanted = (seen.batch or {}).get("spec", {}).get("replicas")
    if seen.batch is None or wanted or workload.replicas:
        return waiting(Reason.STARTING, "workers are being started")
    return holds(Reason.WAITING_FOR_WORK, "no work waits, so no worker runs")


def _autoscaling(
    md: ModelDeployment,
    platform: Platform,
    capabilities: Capabilities,
    seen: ObservedState,
    workload: Workload,
    now: datetime,
) -> Finding:
    findings = []
    if md.spec.autoscaling:
        findings.append(autoscaler(seen.inference_autoscaler, workload.ready_since, now))
    if md.spec.batch and runs_batch(md, platform):
        if capabilities.keda and platform.redis_address:
            findings.append(scaled_object(seen.batch_scaled_object))
        else:
            since = Workload(seen.batch, seen.batch_pods, {}, 1).ready_since
            findings.append(autoscaler(seen.batch_autoscaler, since, now))
            if md.spec.batch.min_replicas == 0:
                findings.append(
                    fault(Reason.KEDA_NOT_INSTALLED, "batch workers cannot stop when idle")
                )
    for wanted in ("False", "Unknown"):
        for found in findings:
            if found.status == wanted:
                return found
    return findings[0]


def _conditions(md: ModelDeployment, findings: dict[str, Finding], now: datetime) -> list[Object]:
    before = {each.type: each.model_dump(by_alias=True) for each in md.status.conditions}
    return [
        as_condition(kind, found, before.get(kind, {}), md.generation, now)
        for kind, found in findings.items()
    ]
