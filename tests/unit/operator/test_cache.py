"""The caches, which watches and listings fill."""

from __future__ import annotations

from typing import Any

from tests.fixtures.modeldeployments import manifest, platform

from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import OwnedObjects
from slipway_operator.kubernetes.kinds import AUTOSCALER, DEPLOYMENT, POD, SERVICE
from slipway_operator.kubernetes.objects import Key, Object

KEY = Key("models", "minilm")


def child(name: str = "minilm", **body: Any) -> Object:
    labels = {"serving.slipway.dev/model": "minilm"}
    meta = {"name": name, "namespace": "models", "labels": labels, "managedFields": [{"big": 1}]}
    return {"metadata": meta, **body}


def test_put_reports_changes_only() -> None:
    objects = OwnedObjects()
    assert objects.put(DEPLOYMENT, child())
    assert not objects.put(DEPLOYMENT, child())
    assert objects.put(DEPLOYMENT, child(spec={}))


def test_volatile_status_fields_are_no_change() -> None:
    objects = OwnedObjects()
    assert objects.put(AUTOSCALER, child(status={"currentReplicas": 1, "currentMetrics": [1]}))
    assert not objects.put(AUTOSCALER, child(status={"currentReplicas": 1, "currentMetrics": [2]}))
    assert objects.put(AUTOSCALER, child(status={"currentReplicas": 2, "currentMetrics": [2]}))


def test_objects_are_found_by_their_modeldeployment() -> None:
    objects = OwnedObjects()
    objects.put(DEPLOYMENT, child())
    objects.put(POD, child("minilm-1"))
    cached = objects.get(KEY, DEPLOYMENT, "minilm")
    assert cached is not None
    assert "managedFields" not in cached["metadata"]
    assert (cached["kind"], cached["apiVersion"]) == ("Deployment", "apps/v1")
    assert [pod["metadata"]["name"] for pod in objects.of_kind(KEY, POD)] == ["minilm-1"]
    assert objects.pod_owner(Key("models", "minilm-1")) == KEY
    assert objects.count_by_kind() == {DEPLOYMENT: 1, POD: 1}


def test_dropped_objects_are_gone() -> None:
    objects = OwnedObjects()
    objects.put(POD, child("minilm-1"))
    objects.drop(POD, child("minilm-1"))
    objects.drop(POD, child("minilm-1"))
    assert objects.names(KEY) == []
    assert objects.pod_owner(Key("models", "minilm-1")) is None


def test_a_listing_replaces_the_objects_of_its_kind() -> None:
    objects = OwnedObjects()
    objects.put(SERVICE, child())
    objects.put(DEPLOYMENT, child("gone"))
    objects.start_listing(DEPLOYMENT)
    objects.replace(DEPLOYMENT, [child("there")])
    assert objects.names(KEY) == [(SERVICE, "minilm"), (DEPLOYMENT, "there")]


def test_events_during_a_listing_take_precedence() -> None:
    objects = OwnedObjects()
    objects.put(DEPLOYMENT, child("deleted"))
    objects.start_listing(DEPLOYMENT)
    objects.drop(DEPLOYMENT, child("deleted"))
    objects.put(DEPLOYMENT, child("created"))
    objects.put(DEPLOYMENT, child("changed", spec={"new": 1}))
    objects.replace(DEPLOYMENT, [child("deleted"), child("changed", spec={"old": 1})])
    assert {name for _, name in objects.names(KEY)} == {"created", "changed"}
    changed = objects.get(KEY, DEPLOYMENT, "changed")
    assert changed is not None
    assert changed["spec"] == {"new": 1}


def known(
    name: str, version: int = 1, created: str = "2026-01-01T00:00:00Z", **spec: Any
) -> Object:
    body = manifest(name, **spec)
    body["metadata"] |= {"resourceVersion": str(version), "creationTimestamp": created}
    return body


def test_an_older_state_is_ignored() -> None:
    deployments = ModelDeployments(platform())
    assert deployments.put(known("minilm", 5))
    assert not deployments.put(known("minilm", 4, replicas=7))
    body = deployments.get(KEY)
    assert body is not None
    assert "replicas" not in body["spec"]


def test_the_older_of_two_claimants_has_the_route() -> None:
    deployments = ModelDeployments(platform(default_host="h.example"))
    claims = deployments.route_claims
    deployments.put(known("first", route={"default": True}))
    deployments.put(known("second", created="2026-02-01T00:00:00Z", route={"default": True}))
    deployments.put(
        known("elsewhere", created="2026-02-01T00:00:00Z", route={"default": True, "host": "o.ex"})
    )
    assert claims.older_claimant(Key("models", "first")) == ""
    assert claims.older_claimant(Key("models", "second")) == "models/first"
    assert claims.older_claimant(Key("models", "elsewhere")) == ""
    assert claims.other_claimants(Key("models", "first")) == {Key("models", "second")}
    deployments.drop(Key("models", "first"))
    assert claims.older_claimant(Key("models", "second")) == ""


def test_a_listing_of_modeldeployments_drops_deleted_ones() -> None:
    deployments = ModelDeployments(platform())
    deployments.put(known("gone"))
    deployments.put(known("deleted-meanwhile"))
    deployments.start_listing()
    deployments.drop(Key("models", "deleted-meanwhile"))
    deployments.put(known("created-meanwhile"))
    deployments.replace([known("there"), known("deleted-meanwhile")])
    assert {key.name for key in deployments.keys()} == {"there", "created-meanwhile"}  # noqa: SIM118
    assert deployments.count_by_ready() == {"Unknown": 2}


def test_readiness_leaves_out_stopped_modeldeployments() -> None:
    def with_ready(name: str, status: str, reason: str) -> Object:
        ready = {"type": "Ready", "status": status, "reason": reason}
        return {**known(name), "status": {"conditions": [{"type": "Available"}, ready]}}

    deployments = ModelDeployments(platform())
    deployments.put(with_ready("well", "True", "Serving"))
    deployments.put(with_ready("broken", "False", "CrashLoopBackOff"))
    deployments.put(with_ready("stopped", "False", "Stopped"))
    deployments.put(known("new"))
    assert {key.name: ready for key, ready in deployments.readiness()} == {
        "well": True,
        "broken": False,
        "new": False,
    }
    deployments.drop(Key("models", "broken"))
    assert {key.name for key, _ in deployments.readiness()} == {"well", "new"}
    assert deployments.count_by_ready() == {"True": 1, "False": 1, "Unknown": 1}


def test_mount_failures_are_stored_by_pod() -> None:
    failures = MountFailures()
    event = {
        "involvedObject": {"namespace": "models", "name": "minilm-1"},
        "message": "secret not found",
    }
    assert failures.put(event) == ("models", "minilm-1")
    assert failures.messages("models", ["minilm-1", "minilm-2"]) == {"minilm-1": "secret not found"}
    failures.drop(event)
    assert failures.messages("models", ["minilm-1"]) == {}
