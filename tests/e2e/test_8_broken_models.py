"""Ten ways to be broken: a ModelDeployment says which it is, and what to do, within 15 s.

All are applied at once. Each test compares two times at which the API server said something: that
the fact is there, and that the ModelDeployment knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.fixtures.broken_models import CASES, Case, surroundings
from tests.fixtures.kind_cluster import KindCluster, condition
from tests.fixtures.kind_watch import PATHS, State, Watch

PROMISED_SECONDS = 15
FOUND_SECONDS = 240
METRICS_API = "v1beta1.metrics.k8s.io"
"""What metrics-server registers. Its pod is left alone: where a machine's gateway answers at the
addresses of pods that are gone, the API server would go on asking that.
"""
IDENTITY = ("apiVersion", "kind", "spec")

Watches = dict[str, Watch]


@pytest.fixture(scope="module")
def watches(cluster: KindCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watches]:
    """All ten, just applied, in a cluster without metrics-server; and what happens to them."""
    operator = cluster.get("deployment", "slipway-operator")
    image = operator["spec"]["template"]["spec"]["containers"][0]["image"]
    objects = surroundings(tmp_path_factory.mktemp("packages"), image)
    cluster.apply(*objects)
    cluster.run("wait", "--for=condition=Ready", "pod/broken-packages", "--timeout=120s")
    metrics = cluster.get("apiservice", METRICS_API)
    cluster.run("delete", "apiservice", METRICS_API)
    cluster.wait_for(lambda: cluster.kubectl("top", "nodes").returncode, 60, "no metrics")
    try:
        with ExitStack() as stack:
            follow = {plural: stack.enter_context(Watch(cluster, plural)) for plural in PATHS}
            cluster.apply(*(case.manifest for case in CASES))
            yield follow
    finally:
        meta = {"name": METRICS_API, "labels": metrics["metadata"].get("labels", {})}
        cluster.apply({**{key: metrics[key] for key in IDENTITY}, "metadata": meta})
        names = [case.name for case in CASES]
        cluster.run("delete", "modeldeployments", "--wait=false", "--ignore-not-found", *names)
        for each in objects:
            name = each["metadata"]["name"]
            cluster.run("delete", each["kind"], name, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_cause_is_told_in_time(
    cluster: KindCluster, watches: Watches, case: Case, figures: dict[str, str]
) -> None:
    def known() -> State | None:
        return watches["modeldeployments"].first(
            lambda thing: (
                case.concerns(thing)
                and condition(thing).get("status") == "False"
                and condition(thing).get("reason") == case.reason
            )
        )

    said: State = cluster.wait_for(known, FOUND_SECONDS, f"{case.name} to say {case.reason}")
    assert case.words in condition(said.thing)["message"]
    fact = watches[case.plural].first(lambda thing: case.concerns(thing) and case.is_fact(thing))
    assert fact, "the cluster never showed it"
    began = max(fact.seen, served_since(watches, case))
    figures[f"{case.name} known as {case.reason}"] = f"{said.seen - began:.1f} s after the fact"
    assert said.seen - began <= PROMISED_SECONDS
    # And it is still what is said, not a word in passing.
    assert condition(cluster.model(case.name))["status"] == "False"


def served_since(watches: Watches, case: Case) -> float:
    """When the pods were available: before that their absence is what is told of an autoscaler."""
    available = watches["deployments"].first(
        lambda thing: case.concerns(thing) and condition(thing, "Available").get("status") == "True"
    )
    return available.seen if available and case.reason == "MetricsUnavailable" else 0.0
