"""The condition Ready: one row for each cause."""

from __future__ import annotations

from typing import Any

import pytest
from tests.fixtures.observations import CRASHED, INGRESS, PENDING, SCALING, compute, deployment

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object
from slipway_operator.observed import ObservedState
from slipway_operator.observed.finding import fault


def _finished(**status: Any) -> Object:
    """A pod that has terminated for good."""
    return {
        "metadata": {"name": "minilm-0", "labels": {}},
        "spec": {"containers": [{"name": "server"}]},
        "status": {"phase": "Failed", **status},
    }


EVICTED = _finished(reason="Evicted", message="low on memory")
SHUT_DOWN = _finished(
    containerStatuses=[{"name": "server", "ready": False, "state": {"terminated": {"exitCode": 1}}}]
)


def test_a_serving_modeldeployment_is_ready() -> None:
    computed, conditions = compute(ObservedState(inference=deployment(), route=INGRESS))
    assert {kind: c["status"] for kind, c in conditions.items()} == {
        "Ready": "True",
        "Reconciled": "True",
        "Available": "True",
        "Progressing": "True",
        "RouteReady": "True",
    }
    assert conditions["Ready"]["reason"] == "Serving"
    assert conditions["Ready"]["message"] == "1/1 replicas ready"
    assert computed.status["modelVersion"] == "1.0"
    assert computed.status["selector"] == (
        "app.kubernetes.io/component=inference,serving.slipway.dev/model=minilm"
    )
    assert computed.requeue_after_seconds is None


READINESS = [
    ("nothing exists yet", ObservedState(), {}, Reason.STARTING),
    ("pods start", ObservedState(inference=deployment(1, 0)), {}, Reason.STARTING),
    (
        "a pod crashes",
        ObservedState(inference=deployment(1, 0), inference_pods=[CRASHED]),
        {},
        Reason.CRASH_LOOP_BACK_OFF,
    ),
    (
        "one of two pods crashes while the other serves",
        ObservedState(inference=deployment(2, 1), inference_pods=[CRASHED]),
        {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
        Reason.CRASH_LOOP_BACK_OFF,
    ),
    (
        "an extra pod of the autoscaler has no room",
        ObservedState(
            inference=deployment(2, 1),
            inference_pods=[PENDING],
            inference_autoscaler=SCALING,
            route=INGRESS,
        ),
        {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
        Reason.SERVING,
    ),
    (
        "a declared pod has no room",
        ObservedState(inference=deployment(2, 1), inference_pods=[PENDING]),
        {"replicas": 2},
        Reason.UNSCHEDULABLE,
    ),
    (
        "a pod crashes that was added, and a newer one has no room",
        ObservedState(inference=deployment(3, 1), inference_pods=[PENDING, CRASHED]),
        {"autoscaling": {"minReplicas": 1, "maxReplicas": 3}},
        Reason.CRASH_LOOP_BACK_OFF,
    ),
    (
        "a pod was evicted and has no successor yet",
        ObservedState(inference=deployment(1, 0), inference_pods=[EVICTED]),
        {},
        Reason.EVICTED,
    ),
    (
        "the successors of pods that ended serve",
        ObservedState(inference=deployment(), inference_pods=[EVICTED, SHUT_DOWN], route=INGRESS),
        {},
        Reason.SERVING,
    ),
    (
        "the new version rolls out",
        ObservedState(inference=deployment(2, 2, updatedReplicas=1)),
        {"replicas": 2},
        Reason.ROLLING_OUT,
    ),
    (
        "the Deployment has not seen its new spec",
        ObservedState(inference=deployment(observedGeneration=0)),
        {},
        Reason.ROLLING_OUT,
    ),
    (
        "quota leaves no room",
        ObservedState(
            inference=deployment(
                0,
                conditions=[
                    {
                        "type": "ReplicaFailure",
                        "status": "True",
                        "message": 'pods "x" is forbidden: exceeded quota: q, requested: cpu=1',
                    }
                ],
            )
        ),
        {},
        Reason.QUOTA_EXCEEDED,
    ),
    (
        "the namespace's policy refuses the pods",
        ObservedState(
            inference=deployment(
                0,
                conditions=[
                    {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
                ],
            )
        ),
        {},
        Reason.POD_REFUSED,
    ),
    (
        "the rollout takes too long",
        ObservedState(
            inference=deployment(
                1, 0, conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]
            )
        ),
        {},
        Reason.ROLLOUT_DEADLINE_EXCEEDED,
    ),
    (
        "stopped by the user",
        ObservedState(inference=deployment(0)),
        {"replicas": 0},
        Reason.STOPPED,
    ),
    (
        "an object was refused",
        ObservedState(inference=deployment(), problem=fault(Reason.APPLY_REJECTED, "no")),
        {},
        Reason.APPLY_REJECTED,
    ),
    (
        "batch workers crash",
        ObservedState(
            inference=deployment(), batch=deployment(1, 0), batch_pods=[CRASHED], route=INGRESS
        ),
        {"batch": {}},
        Reason.CRASH_LOOP_BACK_OFF,
    ),
    (
        "a further batch worker has no room",
        ObservedState(
            inference=deployment(),
            batch=deployment(2, 1),
            batch_pods=[PENDING],
            batch_autoscaler=SCALING,
            route=INGRESS,
        ),
        {"batch": {}},
        Reason.SERVING,
    ),
    (
        "the only batch worker has no room",
        ObservedState(
            inference=deployment(), batch=deployment(1, 0), batch_pods=[PENDING], route=INGRESS
        ),
        {"batch": {}},
        Reason.UNSCHEDULABLE,
    ),
    (
        "one of the fewest batch workers has no room",
        ObservedState(
            inference=deployment(), batch=deployment(2, 1), batch_pods=[PENDING], route=INGRESS
        ),
        {"batch": {"minReplicas": 2}},
        Reason.UNSCHEDULABLE,
    ),
    (
        "a batch worker was evicted and the rest of them stopped",
        ObservedState(
            inference=deployment(),
            batch=deployment(0),
            batch_pods=[EVICTED],
            batch_autoscaler=SCALING,
            route=INGRESS,
        ),
        {"batch": {}},
        Reason.SERVING,
    ),
    (
        "the autoscaler cannot scale",
        ObservedState(
            inference=deployment(),
            inference_autoscaler={
                "spec": {},
                "status": {"conditions": [{"type": "AbleToScale", "status": "False"}]},
            },
        ),
        {"autoscaling": {"maxReplicas": 3}},
        Reason.AUTOSCALER_FAILED,
    ),
]


@pytest.mark.parametrize(
    ("state", "spec", "reason"),
    [row[1:] for row in READINESS],
    ids=[str(row[0]) for row in READINESS],
)
def test_ready_reports_the_cause(state: ObservedState, spec: Object, reason: Reason) -> None:
    _, conditions = compute(state, **spec)
    ready = conditions["Ready"]
    assert ready["reason"] == reason
    assert ready["status"] == ("True" if reason is Reason.SERVING else "False")
    assert ready["message"]


def test_ready_reports_an_older_modeldeployment_that_has_the_route() -> None:
    state = ObservedState(inference=deployment(), route=INGRESS)
    _, conditions = compute(state, older_claimant="models/older")
    ready = conditions["Ready"]
    assert (ready["reason"], ready["status"]) == (Reason.ROUTE_CONFLICT, "False")
    assert ready["message"]
