"""The number of inference pods follows the load, and no request fails."""

from __future__ import annotations

import time

from tests.fixtures.kind_cluster import KindCluster, condition
from tests.fixtures.kind_watch import Watch
from tests.fixtures.steady_load import SteadyLoad

PER_SECOND = 25.0
"""Below the rate limit of the route, and several times the capacity of one pod's CPU request."""
TEXT = "A ship slides down the slipway into the sea. " * 8
METRICS_SECONDS = 180


def test_pods_are_added_under_load_and_removed_afterwards(
    cluster: KindCluster, figures: dict[str, str]
) -> None:
    def ready_pods() -> int:
        return int(cluster.get("deployment", "minilm")["status"].get("readyReplicas", 0))

    def desired() -> int:
        return int(cluster.get("hpa", "minilm")["status"].get("desiredReplicas", 0))

    min_replicas = cluster.model("minilm")["spec"]["autoscaling"]["minReplicas"]
    cluster.wait_for(
        lambda: condition(cluster.get("hpa", "minilm"), "ScalingActive").get("status") == "True",
        METRICS_SECONDS,
        "metrics of the autoscaler",
    )
    cluster.wait_for(lambda: ready_pods() == min_replicas, what="one pod without load")
    began = time.monotonic()
    with Watch(cluster, "deployments") as watch:
        url = cluster.url + "/predict/text"
        with SteadyLoad(url, {"input_text": TEXT}, per_second=PER_SECOND) as load:
            cluster.wait_for(lambda: desired() >= 2, what="the autoscaler to request more pods")
            cluster.wait_for(lambda: ready_pods() >= 2, what="two ready pods")
            figures["load to two ready pods"] = f"{time.monotonic() - began:.0f} s"
            before = load.completed
            cluster.wait_for(lambda: load.completed > before + 50, 60, "responses of both pods")
        began = time.monotonic()
        with SteadyLoad(url, {"input_text": "One."}, per_second=1) as low_load:
            cluster.wait_for(
                lambda: desired() == ready_pods() == min_replicas, what="one pod again"
            )
            cluster.wait_for(
                lambda: len(cluster.pods("minilm")) == min_replicas, 60, "the pod to be deleted"
            )
        figures["end of the load to one pod"] = f"{time.monotonic() - began:.0f} s"
        ready = [state.object["status"].get("readyReplicas", 0) for state in watch.states("minilm")]
    assert not load.failures, load.failures[:5]
    assert not low_load.failures, low_load.failures[:5]
    figures["requests while scaling"] = f"{load.completed + low_load.completed}, none failed"
    assert max(ready) >= 2
    assert min(ready) >= min_replicas
    cluster.wait_for_model("minilm")
