"""Ten faults, of which each ModelDeployment reports the cause and the remedy within 15 s.

All are applied at once. Each test compares the time at which the API server reported the fact with
the time at which it reported the condition of the ModelDeployment.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.fixtures.broken_models import CASES, Case, build_prerequisites
from tests.fixtures.kind_cluster import KindCluster, condition
from tests.fixtures.kind_watch import PATHS, State, Watch

MAX_DELAY_SECONDS = 15
MAX_WAIT_SECONDS = 240
METRICS_API = "v1beta1.metrics.k8s.io"
"""Registered by metrics-server. Its pod is kept: if the gateway of a machine responds at addresses
of deleted pods, the API server would continue to send requests there.
"""
IDENTITY = ("apiVersion", "kind", "spec")

Watches = dict[str, Watch]


@pytest.fixture(scope="module")
def watches(cluster: KindCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watches]:
    """Apply all ten in a cluster without metrics-server, and watch their objects."""
    operator = cluster.get("deployment", "slipway-operator")
    image = operator["spec"]["template"]["spec"]["containers"][0]["image"]
    objects = build_prerequisites(tmp_path_factory.mktemp("packages"), image)
    cluster.apply(*objects)
    cluster.run("wait", "--for=condition=Ready", "pod/broken-packages", "--timeout=120s")
    metrics = cluster.get("apiservice", METRICS_API)
    cluster.run("delete", "apiservice", METRICS_API)
    cluster.wait_for(lambda: cluster.kubectl("top", "nodes").returncode, 60, "no metrics")
    try:
        with ExitStack() as stack:
            started = {plural: stack.enter_context(Watch(cluster, plural)) for plural in PATHS}
            cluster.apply(*(case.manifest for case in CASES))
            yield started
    finally:
        meta = {"name": METRICS_API, "labels": metrics["metadata"].get("labels", {})}
        cluster.apply({**{key: metrics[key] for key in IDENTITY}, "metadata": meta})
        names = [case.name for case in CASES]
        cluster.run("delete", "modeldeployments", "--wait=false", "--ignore-not-found", *names)
        for each in objects:
            name = each["metadata"]["name"]
            cluster.run("delete", each["kind"], name, "--wait=false", "--ignore-not-found")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_cause_is_reported_in_time(
    cluster: KindCluster, watches: Watches, case: Case, figures: dict[str, str]
) -> None:
    def reported_state() -> State | None:
        return watches["modeldeployments"].first(
            lambda thing: (
                case.is_about(thing)
                and condition(thing).get("status") == "False"
                and condition(thing).get("reason") == case.reason
            )
        )

    report: State = cluster.wait_for(
        reported_state, MAX_WAIT_SECONDS, f"{case.name} to report {case.reason}"
    )
    assert case.remedy in condition(report.object)["message"]
    fact = watches[case.plural].first(
        lambda thing: case.is_about(thing) and case.shows_cause(thing)
    )
    assert fact, "the API server never reported the fact"
    began = max(fact.observed_at, available_since(watches, case))
    figures[f"{case.name} reported as {case.reason}"] = (
        f"{report.observed_at - began:.1f} s after the fact"
    )
    assert report.observed_at - began <= MAX_DELAY_SECONDS
    # The condition lasts.
    assert condition(cluster.model(case.name))["status"] == "False"


def available_since(watches: Watches, case: Case) -> float:
    """Return when the pods became available. Before, an autoscaler reports missing pods."""
    available = watches["deployments"].first(
        lambda thing: case.is_about(thing) and condition(thing, "Available").get("status") == "True"
    )
    return available.observed_at if available and case.reason == "MetricsUnavailable" else 0.0
