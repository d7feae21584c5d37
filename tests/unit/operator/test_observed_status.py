"""The other conditions, and transitions over time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.fixtures.modeldeployments import model_deployment, platform
from tests.fixtures.observations import (
    CRASHED,
    INGRESS,
    KEDA,
    NGINX,
    NOW,
    PENDING,
    SCALING,
    compute,
    deployment,
    hpa,
)

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment, ModelDeploymentStatus
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.objects import Object
from slipway_operator.observed import (
    ComputedStatus,
    ObservedState,
    ServerReport,
    compute_status,
)
from slipway_operator.observed.events import build_ready_event
from slipway_operator.plan import Plan


def _compute(md: ModelDeployment, state: ObservedState, now: datetime = NOW) -> ComputedStatus:
    return compute_status(Plan.of(md, platform(), NGINX), state, now)


def again(md: ModelDeployment, status: Object) -> ModelDeployment:
    return md.model_copy(update={"status": ModelDeploymentStatus.model_validate(status)})


def test_the_route_needs_its_ingress_class() -> None:
    _, conditions = compute(ObservedState(inference=deployment(), route=INGRESS), Capabilities())
    assert conditions["RouteReady"]["reason"] == "IngressClassNotFound"
    assert "`nginx`" in conditions["RouteReady"]["message"]
    assert conditions["Ready"]["status"] == "False"


@pytest.mark.parametrize(
    ("message", "since", "status", "reason", "recheck"),
    [
        ("no metrics returned", "2026-01-01T11:59:40Z", "Unknown", "WaitingForMetrics", 70),
        ("no metrics returned", "2026-01-01T11:58:00Z", "False", "MetricsUnavailable", None),
        (
            "the server could not find the requested resource (get pods.metrics.k8s.io)",
            "2026-01-01T11:59:59Z",
            "False",
            "MetricsUnavailable",
            None,
        ),
    ],
)
def test_an_autoscaler_without_metrics_has_a_grace_period(
    message: str, since: str, status: str, reason: str, recheck: float | None
) -> None:
    broken = hpa(status="False", reason="FailedGetResourceMetric", message=message)
    broken["status"]["conditions"][0]["lastTransitionTime"] = since
    state = ObservedState(inference=deployment(), inference_autoscaler=broken, route=INGRESS)
    computed, conditions = compute(state, autoscaling={"maxReplicas": 3})
    assert conditions["AutoscalingReady"]["status"] == status
    assert conditions["AutoscalingReady"]["reason"] == reason
    assert conditions["Ready"]["status"] == ("False" if status == "False" else "True")
    assert computed.requeue_after_seconds == recheck


def test_an_autoscaler_disabled_at_zero_pods_is_a_fault() -> None:
    message = "scaling is disabled since the replica count of the target is zero"
    disabled = hpa(status="False", reason="ScalingDisabled", message=message)
    state = ObservedState(inference=deployment(0), inference_autoscaler=disabled, route=INGRESS)
    _, conditions = compute(state, autoscaling={"maxReplicas": 3})
    assert conditions["AutoscalingReady"]["status"] == "False"
    assert conditions["AutoscalingReady"]["reason"] == "AutoscalerFailed"
    assert message in conditions["AutoscalingReady"]["message"]


def test_an_unschedulable_extra_worker_is_no_fault() -> None:
    md = model_deployment(batch={})
    state = ObservedState(
        inference=deployment(),
        batch=deployment(2, 1),
        batch_pods=[PENDING],
        batch_autoscaler=SCALING,
        route=INGRESS,
    )
    first = _compute(md, state)
    lagging = deployment(2, 1)
    lagging["metadata"]["generation"] = 2
    second = _compute(again(md, first.status), replace(state, batch=lagging))
    assert second.status["conditions"][0]["status"] == "True"


def test_missing_keda_is_reported_and_does_not_affect_ready() -> None:
    state = ObservedState(
        inference=deployment(), batch=deployment(), batch_autoscaler=SCALING, route=INGRESS
    )
    _, conditions = compute(state, batch={})
    assert conditions["AutoscalingReady"]["reason"] == "KEDANotInstalled"
    assert conditions["BatchReady"]["reason"] == "Working"
    assert conditions["Ready"]["status"] == "True"


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ([], "Unknown"),
        ([{"type": "Ready", "status": "True"}], "True"),
        ([{"type": "Ready", "status": "False", "message": "no such secret"}], "False"),
    ],
)
def test_keda_reports_on_the_workers(conditions: list[Object], status: str) -> None:
    state = ObservedState(
        inference=deployment(),
        batch=deployment(0),
        batch_scaled_object={"status": {"conditions": conditions}},
        route=INGRESS,
    )
    _, current = compute(state, KEDA, batch={})
    assert current["AutoscalingReady"]["status"] == status
    assert current["BatchReady"]["reason"] == "WaitingForWork"


def test_batch_without_a_database_is_reported() -> None:
    md = model_deployment(batch={})
    state = ObservedState(inference=deployment(), route=INGRESS)
    computed = compute_status(Plan.of(md, platform(redis_secret=""), NGINX), state, NOW)
    ready = computed.status["conditions"][0]
    assert ready["reason"] == "DatabaseNotConfigured"


@pytest.mark.parametrize(
    ("parents", "status", "reason"),
    [
        (None, "Unknown", "WaitingForController"),
        ([{"conditions": [{"type": "Accepted", "status": "True"}]}], "True", "Routed"),
        (
            [{"conditions": [{"type": "Accepted", "status": "False", "message": "not allowed"}]}],
            "False",
            "RouteNotAccepted",
        ),
    ],
)
def test_the_gateway_reports_on_its_route(
    parents: list[Object] | None, status: str, reason: str
) -> None:
    live: Object | None = None if parents is None else {"status": {"parents": parents}}
    md = model_deployment(route={"rateLimit": {"requestsPerSecond": 5}})
    settings = platform(routing="gateway", default_host="h.example")
    state = ObservedState(inference=deployment(), route=live)
    computed = compute_status(Plan.of(md, settings, Capabilities(http_routes=True)), state, NOW)
    route = computed.status["conditions"][-1]
    assert (route["type"], route["status"], route["reason"]) == ("RouteReady", status, reason)


def test_transition_times_change_only_with_the_status() -> None:
    md = model_deployment()
    well = ObservedState(inference=deployment(), route=INGRESS)
    first = _compute(md, well)
    later = NOW + timedelta(minutes=5)
    second = _compute(again(md, first.status), well, later)
    assert second.status == first.status
    third = _compute(again(md, second.status), replace(well, route=None), later)
    times = {c["type"]: c["lastTransitionTime"] for c in third.status["conditions"]}
    assert times["RouteReady"] == "2026-01-01T12:05:00Z"
    assert times["Available"] == "2026-01-01T12:00:00Z"


def test_an_autoscaler_that_adds_pods_is_no_rollout() -> None:
    md = model_deployment(autoscaling={"maxReplicas": 3})
    well = ObservedState(inference=deployment(), inference_autoscaler=SCALING, route=INGRESS)
    first = _compute(md, well)
    lagging = deployment()
    lagging["metadata"]["generation"] = 2
    second = _compute(again(md, first.status), replace(well, inference=lagging))
    assert second.status["conditions"][0]["status"] == "True"


def test_events_mark_transitions_only() -> None:
    md = model_deployment()
    starting = _compute(md, ObservedState()).status
    event = build_ready_event(md, starting, NOW)
    assert event is not None
    assert (event["type"], event["reason"]) == ("Normal", "Starting")
    assert build_ready_event(again(md, starting), starting, NOW) is None

    crashed = ObservedState(inference=deployment(1, 0), inference_pods=[CRASHED])
    broken = _compute(again(md, starting), crashed).status
    event = build_ready_event(again(md, starting), broken, NOW)
    assert event is not None
    assert (event["type"], event["reason"]) == ("Warning", "CrashLoopBackOff")


def test_without_a_version_in_the_spec_the_status_has_that_of_a_server() -> None:
    def version(md: ModelDeployment, state: ObservedState) -> Any:
        return _compute(md, state).status["modelVersion"]

    md = model_deployment(model={"uri": "package://x"})
    silent = ObservedState(inference=deployment(), route=INGRESS)
    assert version(md, silent) == ""
    pinned = model_deployment(model={"uri": "package://x", "sha256": "ab" * 32})
    assert version(pinned, silent) == "ab" * 6

    serving = replace(silent, report=ServerReport("3.1"))
    assert version(md, serving) == version(pinned, serving) == "3.1"
    previous = again(md, _compute(md, serving).status)
    assert version(previous, silent) == "3.1", "a new operator has not read the version yet"
    rolling_out = ObservedState(
        inference=deployment(2, 2, updatedReplicas=1), report=ServerReport("4.0")
    )
    assert version(previous, rolling_out) == "3.1", "pods of the previous version still serve"


def test_the_version_changes_when_the_new_one_serves() -> None:
    served = _compute(model_deployment(), ObservedState(inference=deployment())).status
    assert served["modelVersion"] == "1.0"
    md = again(model_deployment(model={"uri": "package://x", "version": "2.0"}), served)
    rolling_out = ObservedState(inference=deployment(2, 2, updatedReplicas=1))
    assert _compute(md, rolling_out).status["modelVersion"] == "1.0"
    done = ObservedState(inference=deployment())
    assert _compute(md, done).status["modelVersion"] == "2.0"


def test_the_status_shows_whether_the_newest_server_is_sandboxed() -> None:
    def sandbox(md: ModelDeployment, state: ObservedState) -> Any:
        return _compute(md, state).status["sandbox"]

    md = model_deployment()
    silent = ObservedState(inference=deployment(), route=INGRESS)
    assert sandbox(md, silent) == "Unknown"
    confined = replace(silent, report=ServerReport("1", is_sandboxed=True))
    assert sandbox(md, confined) == "Active"
    previous = again(md, _compute(md, confined).status)
    assert sandbox(previous, silent) == "Active", "a new operator has not asked the server yet"
    free = replace(silent, report=ServerReport("1", is_sandboxed=False))
    assert sandbox(previous, free) == "Inactive"
    assert sandbox(previous, ObservedState(inference=deployment(1, 0))) == "Unknown"
    # Of the declared pods nothing is known yet, whatever earlier ones reported.
    changed = previous.model_copy(update={"metadata": {**previous.metadata, "generation": 2}})
    assert sandbox(changed, silent) == "Unknown"
