"""A new version of a model replaces the old one, and no request fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.fixtures.kind_cluster import KindCluster, condition
from tests.fixtures.steady_load import SteadyLoad

NAME = "sentiment"
PATH = f"/models/{NAME}/predict/text"
BODY = {"input_text": "What a day.", "labels": ["good", "bad"]}
PER_SECOND = 10.0
REPLICAS = 2
RESOURCES = {"requests": {"cpu": "100m", "memory": "512Mi"}, "limits": {"memory": "1536Mi"}}
OPERATOR = "app.kubernetes.io/component=operator"


@pytest.fixture(scope="module")
def served(cluster: KindCluster) -> Iterator[KindCluster]:
    """Apply the sample with two small pods and without a rate limit, and delete it at the end."""
    cluster.run("apply", "-f", "manifests/samples/sentiment.yaml")
    spec = {"runtime": {"resources": RESOURCES}, "route": {"rateLimit": None}}
    cluster.patch("modeldeployment", NAME, {"spec": spec})
    cluster.run("scale", f"modeldeployment/{NAME}", f"--replicas={REPLICAS}")
    model = cluster.wait_for_model(NAME)
    assert model["status"]["readyReplicas"] == REPLICAS

    def unlimited() -> bool:
        return all(cluster.request(PATH, BODY).status_code == 200 for _ in range(40))

    cluster.wait_for(unlimited, 60, "the rate limit to be removed")
    yield cluster
    cluster.run("delete", "modeldeployment", NAME, "--wait=false")


def change_version(cluster: KindCluster, version: str) -> None:
    cluster.patch("modeldeployment", NAME, {"spec": {"model": {"version": version}}})


def served_version(cluster: KindCluster) -> str:
    version: str = cluster.request(PATH, BODY).json()["version"]
    return version


def test_no_request_fails_while_all_pods_are_replaced(
    served: KindCluster, figures: dict[str, str]
) -> None:
    before = {each["metadata"]["name"] for each in served.pods(NAME)}
    with SteadyLoad(served.url + PATH, BODY, per_second=PER_SECOND) as load:
        change_version(served, "2")
        served.wait_for_model(NAME)
        served.wait_for(
            lambda: not before & {each["metadata"]["name"] for each in served.find("pods")},
            120,
            "the last old pod to be deleted",
        )
        assert served_version(served) == "2"
    figures["requests during a rollout"] = f"{load.completed}, {len(load.failures)} failed"
    assert load.statuses["200"] > PER_SECOND * 10
    assert not load.failures, load.failures[:5]


def test_a_rollout_completes_although_the_operator_is_killed(served: KindCluster) -> None:
    generation = served.get("deployment", NAME)["metadata"]["generation"]
    (operator,) = served.find("pods", "--selector", OPERATOR)
    change_version(served, "3")
    served.wait_for(
        lambda: served.get("deployment", NAME)["metadata"]["generation"] > generation,
        30,
        "the rollout to begin",
    )
    served.run("delete", "pod", operator["metadata"]["name"], "--grace-period=0", "--force")
    # A change while no operator is running is reconciled as well.
    change_version(served, "4")
    model = served.wait_for_model(NAME)
    assert condition(model, "Progressing")["reason"] == "RolledOut"
    assert model["status"]["readyReplicas"] == REPLICAS
    # Terminating pods respond for some seconds.
    served.wait_for(lambda: served_version(served) == "4", 60, "responses of the new pods only")
    (successor,) = [
        each
        for each in served.find("pods", "--selector", OPERATOR)
        if "deletionTimestamp" not in each["metadata"]
    ]
    assert successor["metadata"]["uid"] != operator["metadata"]["uid"]
