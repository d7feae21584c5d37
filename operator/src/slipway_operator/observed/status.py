"""The status of a ModelDeployment: its conditions, their summary Ready, and its figures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from slipway_operator.api.v1alpha1.labels import INFERENCE, build_selector
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.kubernetes.objects import Object
from slipway_operator.observed.autoscalers import check_hpa, check_scaled_object
from slipway_operator.observed.finding import Finding, fault, holds, to_condition, waiting
from slipway_operator.observed.routes import check_route
from slipway_operator.observed.state import ObservedState
from slipway_operator.observed.workload import Workload
from slipway_operator.plan import Plan

NON_BLOCKING = frozenset({Reason.KEDA_NOT_INSTALLED})
"""Faults that appear in their own condition and do not make the ModelDeployment unready."""
WORST_FIRST = ("False", "Unknown", "True")


@dataclass(frozen=True)
class ComputedStatus:
    """The status to write, and the time after which to compute it again without an event."""

    status: Object
    requeue_after_seconds: float | None


def compute_status(plan: Plan, state: ObservedState, now: datetime) -> ComputedStatus:
    """Return the status of a ModelDeployment."""
    md = plan.md
    inference = Workload(
        state.inference,
        state.inference_pods,
        state.mount_failures,
        md.min_available_replicas,
        _was_rolled_out(md),
    )
    findings = _findings(plan, state, inference, now)
    requeues = [each.requeue_after_seconds for each in findings.values()]
    status = {
        "observedGeneration": md.generation,
        "url": plan.url,
        "replicas": inference.replicas,
        "readyReplicas": inference.ready,
        "selector": ",".join(f"{k}={v}" for k, v in sorted(build_selector(md, INFERENCE).items())),
        "modelVersion": _model_version(md, inference, state.report.version),
        "sandbox": _sandbox(md, inference, state.report.is_sandboxed),
        "conditions": _conditions(md, findings, now),
    }
    return ComputedStatus(status, min((each for each in requeues if each), default=None))


def _findings(
    plan: Plan, state: ObservedState, inference: Workload, now: datetime
) -> dict[str, Finding]:
    """Return the finding for each condition, Ready first."""
    md = plan.md
    findings = {
        "Reconciled": _reconciled(plan, state),
        "Available": _available(inference),
        "Progressing": inference.progress(),
    }
    if md.enabled_batch:
        findings["BatchReady"] = _batch_ready(plan, state)
    if md.spec.autoscaling or plan.batch:
        findings["AutoscalingReady"] = _autoscaling_ready(plan, state, inference, now)
    if plan.route:
        findings["RouteReady"] = check_route(plan, state.route)
    return {"Ready": _ready(findings, inference), **findings}


def _reconciled(plan: Plan, state: ObservedState) -> Finding:
    if plan.refusal:
        finding = fault(plan.refusal.reason, plan.refusal.fact)
        return replace(finding, requeue_after_seconds=plan.refusal.retry_seconds)
    return state.problem or holds(Reason.APPLIED, "every object is as declared")


def _model_version(md: ModelDeployment, inference: Workload, served: str) -> str:
    """Return the version that pods serve.

    During a rollout it is the previous one. After a rollout it is the version in the spec, or else
    the one that a server reports, or until then the one reported earlier.
    """
    if not inference.is_rolled_out() or inference.ready == 0:
        return md.status.model_version
    reported = md.status.model_version if _was_rolled_out(md) else ""
    return md.spec.model.version or served or reported or md.declared_version


def _sandbox(md: ModelDeployment, inference: Workload, reported: bool | None) -> str:
    """Return whether the newest ready server is sandboxed.

    What it reported to an earlier process of the operator holds as long as the spec does.
    """
    if reported is not None:
        return "Active" if reported else "Inactive"
    is_known = inference.ready > 0 and _was_rolled_out(md)
    return md.status.sandbox if is_known else "Unknown"


def _was_rolled_out(md: ModelDeployment) -> bool:
    return _had_reason(md, "Progressing", Reason.ROLLED_OUT)


def _had_reason(md: ModelDeployment, condition_type: str, reason: Reason) -> bool:
    """Return whether the last status had this reason for the current spec."""
    return any(
        each.type == condition_type
        and each.reason == reason
        and each.observed_generation == md.generation
        for each in md.status.conditions
    )


def _available(inference: Workload) -> Finding:
    count = f"{inference.ready}/{inference.needed} replicas ready"
    if inference.needed == 0:
        return fault(Reason.STOPPED, "the model is stopped")
    if inference.ready >= inference.needed:
        return holds(Reason.SERVING, f"{inference.ready}/{inference.replicas} replicas ready")
    cause = inference.fault()
    if cause is None and inference.ready:
        return fault(Reason.NOT_AVAILABLE, count)
    cause = cause or inference.progress()
    return Finding("False", cause.reason, f"{count}; {cause.message}")


def _ready(findings: dict[str, Finding], inference: Workload) -> Finding:
    """Return True when the declared model serves and nothing is wrong, or else the first cause."""
    for name in ("Reconciled", "Available", "Progressing"):
        finding = findings[name]
        if finding.status != "True":
            return Finding("False", finding.reason, finding.message)
    for name in ("BatchReady", "AutoscalingReady", "RouteReady"):
        finding = findings.get(name, findings["Reconciled"])
        if finding.is_fault and finding.reason not in NON_BLOCKING:
            return Finding("False", finding.reason, finding.message)
    return holds(Reason.SERVING, f"{inference.ready}/{inference.replicas} replicas ready")


def _batch_ready(plan: Plan, state: ObservedState) -> Finding:
    if plan.batch is None:
        return fault(Reason.DATABASE_NOT_CONFIGURED, "batch workers have no database or queue")
    workers = Workload(
        state.batch,
        state.batch_pods,
        state.mount_failures,
        _min_available_workers(plan.batch, state.batch),
        _had_reason(plan.md, "BatchReady", Reason.WORKING),
    )
    cause = workers.fault()
    if cause is not None:
        return Finding("False", cause.reason, f"batch workers: {cause.message}")
    if workers.ready:
        return holds(Reason.WORKING, f"{workers.ready}/{workers.replicas} workers ready")
    desired = (state.batch or {}).get("spec", {}).get("replicas")
    if state.batch is None or desired or workers.replicas:
        return waiting(Reason.STARTING, "workers are being started")
    return holds(Reason.WAITING_FOR_WORK, "the queue is empty, so no worker runs")


def _min_available_workers(batch: Batch, deployment: Object | None) -> int:
    """Return the number of workers without which no work is done; 0 while scaled to zero."""
    desired = int((deployment or {}).get("spec", {}).get("replicas", 1))
    return min(desired, max(1, batch.min_replicas))


def _autoscaling_ready(
    plan: Plan, state: ObservedState, inference: Workload, now: datetime
) -> Finding:
    findings = []
    if plan.md.spec.autoscaling:
        findings.append(check_hpa(state.inference_autoscaler, inference.ready_since, now))
    if plan.batch and plan.keda_scales_batch:
        findings.append(check_scaled_object(state.batch_scaled_object))
    elif plan.batch:
        ready_since = Workload(state.batch, state.batch_pods, {}, 1).ready_since
        findings.append(check_hpa(state.batch_autoscaler, ready_since, now))
        if plan.batch.min_replicas == 0:
            findings.append(fault(Reason.KEDA_NOT_INSTALLED, "batch workers cannot stop when idle"))
    return min(findings, key=lambda finding: WORST_FIRST.index(finding.status))


def _conditions(md: ModelDeployment, findings: dict[str, Finding], now: datetime) -> list[Object]:
    previous = {each.type: each.model_dump(by_alias=True) for each in md.status.conditions}
    return [
        to_condition(name, finding, previous.get(name, {}), md.generation, now)
        for name, finding in findings.items()
    ]
