"""Upgrades, uninstall, install again, the end of the namespace: last, for it takes all away."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx2
from tests.fixtures.kind_cluster import KindCluster, condition

TEXT = "This prediction outlives the release."
LOG = "/api/v1/namespaces/slipway/services/minilm:http/proxy/predictions"
"""The prediction log, which has no route from outside."""
SECRETS = ("slipway-postgresql", "slipway-redis")
CRD = "modeldeployments.serving.slipway.dev"
PROMISED_SECONDS = 30
SECONDS_OF_NEW_PASSWORDS = 180
"""The kubelet brings a changed Secret to running pods within about a minute and a half."""
LEFT_BY_KUBERNETES = {"ConfigMap/kube-root-ca.crt", "ServiceAccount/default"}
NOT_ASKED = {"events", "events.events.k8s.io", "pods.metrics.k8s.io"}
"""What is a record of the past, or no object."""


def predict(cluster: KindCluster) -> str:
    """The id of a prediction made now."""
    answer = cluster.ask("/predict/text", {"input_text": TEXT})
    assert answer.status_code == 200, answer.text
    identifier: str = answer.json()["id"]
    return identifier


def is_logged(cluster: KindCluster, identifier: str) -> bool:
    """Whether the database has the prediction among the newest."""
    done = cluster.kubectl("get", "--raw", f"{LOG}?limit=1000")
    return done.returncode == 0 and identifier in done.stdout


def passwords(cluster: KindCluster) -> list[Any]:
    return [cluster.get("secret", name)["data"] for name in SECRETS]


def servers(cluster: KindCluster) -> set[tuple[str, int]]:
    """The pods that answer predictions, and how often each was restarted."""
    return {
        (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
        for pod in cluster.pods("minilm")
    }


def upgrade(cluster: KindCluster, values: dict[str, Any], *options: str) -> None:
    """helm upgrade --install, with all values as they were."""
    command = ("upgrade", "--install", "slipway", "charts/slipway", "--wait", "--timeout", "5m")
    cluster.helm(*command, "--values", "-", *options, stdin=json.dumps(values))


def values_of(cluster: KindCluster) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(cluster.helm("get", "values", "slipway", "-o", "json"))
    return found


def route(cluster: KindCluster) -> str:
    """How the demo model is reached from outside, by its own word."""
    found = condition(cluster.model("minilm"), "RouteReady")
    return str(found.get("message", "")) if found.get("status") == "True" else ""


def leftovers(cluster: KindCluster) -> set[str]:
    """All objects of the namespace, as kind and name."""
    listed = cluster.run("api-resources", "--namespaced", "--verbs=list", "-o", "name").split()
    kinds = ",".join(sorted(set(listed) - NOT_ASKED))
    found = cluster.find(kinds, "--ignore-not-found")
    return {f"{each['kind']}/{each['metadata']['name']}" for each in found}


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


def test_new_passwords_are_made_by_deleting_the_old_ones(cluster: KindCluster) -> None:
    cluster.wait_for(lambda: len(cluster.pods("minilm")) == 1, named="one server")
    before, server = passwords(cluster), servers(cluster)
    cluster.run("delete", "secret", *SECRETS)
    cluster.run("delete", "pod", *(f"{name}-0" for name in SECRETS))
    meanwhile = predict(cluster)
    upgrade(cluster, values_of(cluster))
    assert all(new != old for new, old in zip(passwords(cluster), before, strict=True))

    logged = "a row of the time without stores, written with the new password"
    cluster.wait_for(lambda: is_logged(cluster, meanwhile), SECONDS_OF_NEW_PASSWORDS, logged)
    job = cluster.ask("/predict/text/batch", {"inputs": [TEXT]}).json()["task_id"]
    assert server <= servers(cluster), "it did not have to be restarted"
    cluster.wait_for(
        lambda: cluster.ask(f"/predict/status/{job}").json()["status"] == "succeeded",
        SECONDS_OF_NEW_PASSWORDS,
        "a job that went through the queue",
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
    with cluster.forwarded("service/traefik", 80, namespace="gateway") as url:
        for path in ("/predict/text", "/models/minilm/predict/text"):
            answer = httpx2.post(url + path, json={"input_text": TEXT}, timeout=60)
            assert answer.status_code == 200, answer.text
        # Only what is public has a route.
        assert httpx2.get(f"{url}/predictions", timeout=60).status_code == 404

    upgrade(cluster, by_ingress)
    cluster.wait_for(lambda: "ingress controller" in route(cluster), 60, "the Ingress")
    assert cluster.find("httproutes") == []
    cluster.wait_for(
        lambda: cluster.ask("/predict/text", {"input_text": TEXT}).status_code == 200, 60, "a route"
    )


def test_uninstalled_and_installed_again_the_data_is_there(cluster: KindCluster) -> None:
    identifier = predict(cluster)
    cluster.wait_for(lambda: is_logged(cluster, identifier), 30, "the row")
    values = values_of(cluster)
    claims = {f"PersistentVolumeClaim/data-{name}-0" for name in SECRETS}

    cluster.helm("uninstall", "slipway", "--wait", "--timeout", "3m")
    expected = claims | LEFT_BY_KUBERNETES
    cluster.wait_for(lambda: leftovers(cluster) <= expected, 90, "all else to be gone")
    assert leftovers(cluster) == expected
    assert cluster.get("crd", CRD)
    of_release = ("--selector", "app.kubernetes.io/instance=slipway")
    kinds = "clusterroles,clusterrolebindings,priorityclasses"
    assert cluster.find(kinds, *of_release) == []

    upgrade(cluster, values)
    cluster.wait_for_model("minilm")
    cluster.wait_for(lambda: is_logged(cluster, identifier), 60, "the row in the new release")
    assert predict(cluster) != identifier


def test_a_namespace_goes_though_its_operator_is_dead(
    cluster: KindCluster, figures: dict[str, str]
) -> None:
    cluster.run("scale", "deployment/slipway-operator", "--replicas=0")
    cluster.wait_for(
        lambda: not cluster.find("pods", "--selector", "app.kubernetes.io/component=operator"),
        60,
        "the operator to be dead",
    )
    assert cluster.find("modeldeployments")
    began = time.monotonic()
    cluster.run("delete", "namespace", cluster.namespace, "--timeout=120s")
    seconds = time.monotonic() - began
    figures["end of a namespace without operator"] = f"{seconds:.0f} s"
    assert seconds < PROMISED_SECONDS
    assert not cluster.get("namespace", cluster.namespace)
