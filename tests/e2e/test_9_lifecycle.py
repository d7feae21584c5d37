"""Upgrades, uninstallation and deletion of the namespace, and so the last of the tests."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
from tests.fixtures.kind_cluster import KindCluster, condition

TEXT = "This prediction outlives the release."
LOG = "/api/v1/namespaces/slipway/services/minilm:http/proxy/predictions"
"""The prediction log, which has no route from outside."""
STORES = ("slipway-postgresql", "slipway-redis")
SECRETS = (*STORES, "slipway-postgresql-owner", "slipway-postgresql-reader")
CRD = "modeldeployments.serving.slipway.dev"
MAX_DELETION_SECONDS = 30
PASSWORD_ROTATION_SECONDS = 180
"""The kubelet brings a changed Secret to running pods within about a minute and a half."""
LEFT_BY_KUBERNETES = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
IGNORED_KINDS = {"events", "events.events.k8s.io", "pods.metrics.k8s.io"}
"""Kinds that record the past or are not stored as objects."""


def predict(cluster: KindCluster) -> str:
    """Request a prediction, and return its id."""
    response = cluster.request("/predict/text", {"input_text": TEXT})
    assert response.status_code == 200, response.text
    identifier: str = response.json()["id"]
    return identifier


def is_logged(cluster: KindCluster, identifier: str) -> bool:
    """Return whether the prediction is among the latest in the database."""
    done = cluster.kubectl("get", "--raw", f"{LOG}?limit=1000")
    return done.returncode == 0 and identifier in done.stdout


def passwords(cluster: KindCluster) -> list[Any]:
    return [cluster.get("secret", name)["data"] for name in SECRETS]


def servers(cluster: KindCluster) -> set[tuple[str, int]]:
    """Return the uid and number of restarts of each inference pod."""
    return {
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in cluster.pods("minilm")
    }


def upgrade(cluster: KindCluster, values: dict[str, Any], *options: str) -> None:
    """Upgrade or install the release with these values."""
    command = ("upgrade", "--install", "slipway", "charts/slipway", "--wait", "--timeout", "5m")
    cluster.helm(*command, "--values", "-", *options, stdin=json.dumps(values))


def values_of(cluster: KindCluster) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(cluster.helm("get", "values", "slipway", "-o", "json"))
    return values


def route(cluster: KindCluster) -> str:
    """Return the message of the demo model's condition RouteReady, if it is true."""
    ready = condition(cluster.model("minilm"), "RouteReady")
    return str(ready.get("message", "")) if ready.get("status") == "True" else ""


def leftovers(cluster: KindCluster) -> set[str]:
    """Return the kind and name of all objects in the namespace."""
    listed = cluster.run("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    kinds = ",".join(sorted(set(listed) - IGNORED_KINDS))
    objects = cluster.find(kinds, "--ignore-not-found")
    return {f"{each['kind']}/{each['metadata']['name']}" for each in objects}


def test_an_upgrade_keeps_data_and_passwords(cluster: KindCluster) -> None:
    cluster.wait_for_model("minilm")
    identifier = predict(cluster)
    cluster.wait_for(lambda: is_logged(cluster, identifier), 30, "the row")
    before = passwords(cluster)
    values = values_of(cluster)
    values["models"]["minilm"]["model"] = {"version": "after-the-upgrade"}
    values["postgresql"] = {"maxConnections": 150}
    upgrade(cluster, values)
    model = cluster.wait_for_model("minilm")
    assert model["status"]["modelVersion"] == "after-the-upgrade"
    assert passwords(cluster) == before
    cluster.wait_for(lambda: is_logged(cluster, identifier), 60, "the row after the upgrade")


def test_new_passwords_are_generated_when_the_old_ones_are_deleted(cluster: KindCluster) -> None:
    cluster.wait_for(lambda: len(cluster.pods("minilm")) == 1, what="one server")
    before, server = passwords(cluster), servers(cluster)
    cluster.run("delete", "secret", *SECRETS)
    cluster.run("delete", "pod", *(f"{name}-0" for name in STORES))
    identifier = predict(cluster)
    upgrade(cluster, values_of(cluster))
    assert all(new != old for new, old in zip(passwords(cluster), before, strict=True))

    row = "the row of a prediction without stores, written with the new password"
    cluster.wait_for(lambda: is_logged(cluster, identifier), PASSWORD_ROTATION_SECONDS, row)
    job = cluster.request("/predict/text/batch", {"inputs": [TEXT]}).json()["task_id"]
    assert server <= servers(cluster), "the server was restarted"
    cluster.wait_for(
        lambda: cluster.request(f"/predict/status/{job}").json()["status"] == "succeeded",
        PASSWORD_ROTATION_SECONDS,
        "a job",
    )


def test_an_upgrade_moves_the_routes_to_a_gateway_and_back(cluster: KindCluster) -> None:
    cluster.add("gateway")
    by_ingress = values_of(cluster)
    gateway = {"provider": "gateway", "gateway": {"name": "public", "namespace": "gateway"}}
    upgrade(cluster, {**by_ingress, "routing": {**by_ingress["routing"], **gateway}})
    cluster.wait_for(lambda: "gateway `gateway/public`" in route(cluster), 60, "the HTTPRoute")
    assert cluster.find("ingresses") == []
    assert "`rateLimit` has no effect" in route(cluster)
    cluster.wait_for_model("minilm")
    with cluster.port_forward("service/traefik", 80, namespace="gateway") as url:
        for path in ("/predict/text", "/models/minilm/predict/text"):
            response = httpx2.post(url + path, json={"input_text": TEXT}, timeout=60)
            assert response.status_code == 200, response.text
        # The prediction log is not public.
        assert httpx2.get(f"{url}/predictions", timeout=60).status_code == 404

    upgrade(cluster, by_ingress)
    cluster.wait_for(lambda: "ingress controller" in route(cluster), 60, "the Ingress")
    assert cluster.find("httproutes") == []
    cluster.wait_for(
        lambda: cluster.request("/predict/text", {"input_text": TEXT}).status_code == 200,
        60,
        "a route",
    )


def test_data_survives_uninstallation_and_a_new_installation(cluster: KindCluster) -> None:
    identifier = predict(cluster)
    cluster.wait_for(lambda: is_logged(cluster, identifier), 30, "the row")
    values = values_of(cluster)
    claims = {f"PersistentVolumeClaim/data-{name}-0" for name in STORES}

    cluster.helm("uninstall", "slipway", "--wait", "--timeout", "3m")
    expected = claims | LEFT_BY_KUBERNETES
    cluster.wait_for(lambda: leftovers(cluster) <= expected, 90, "all other objects to be deleted")
    assert leftovers(cluster) == expected
    assert cluster.get("crd", CRD)
    of_release = ("--selector", "app.kubernetes.io/instance=slipway")
    kinds = "clusterroles,clusterrolebindings,priorityclasses"
    assert cluster.find(kinds, *of_release) == []

    upgrade(cluster, values)
    cluster.wait_for_model("minilm")
    cluster.wait_for(lambda: is_logged(cluster, identifier), 60, "the row in the new release")
    assert predict(cluster) != identifier


def test_a_namespace_is_deleted_without_a_running_operator(
    cluster: KindCluster, figures: dict[str, str]
) -> None:
    cluster.run("scale", "deployment/slipway-operator", "--replicas=0")
    cluster.wait_for(
        lambda: not cluster.find("pods", "--selector", "app.kubernetes.io/component=operator"),
        60,
        "the operator to stop",
    )
    assert cluster.find("modeldeployments")
    began = time.monotonic()
    cluster.run("delete", "namespace", cluster.namespace, "--timeout=120s")
    seconds = time.monotonic() - began
    figures["deletion of a namespace without operator"] = f"{seconds:.0f} s"
    assert seconds < MAX_DELETION_SECONDS
    assert not cluster.get("namespace", cluster.namespace)
