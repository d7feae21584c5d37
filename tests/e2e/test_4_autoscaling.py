"""The number of inference pods follows the load, and nobody who asks notices."""

from __future__ import annotations

import time

from tests.fixtures.kind_cluster import KindCluster, condition
from tests.fixtures.kind_watch import Watch
from tests.fixtures.steady_load import SteadyLoad

PER_SECOND = 25.0
"""Below the route's limit, and several times what one pod's CPU request can answer."""
TEXT = "A ship slides down the slipway into the sea. " * 8
METRICS_SECONDS = 180


def test_pods_come_under_load_and_go_after_it(
    cluster: KindCluster, figures: dict[str, str]
) -> None:
    def deployed() -> int:
        return int(cluster.get("deployment", "minilm")["status"].get("readyReplicas", 0))

    def wanted() -> int:
        return int(cluster.get("hpa", "minilm")["status"].get("desiredReplicas", 0))

    least = cluster.model("minilm")["spec"]["autoscaling"]["minReplicas"]
    cluster.wait_for(
        lambda: condition(cluster.get("hpa", "minilm"), "ScalingActive").get("status") == "True",
        METRICS_SECONDS,
        "the autoscaler's figures",
    )
    cluster.wait_for(lambda: deployed() == least, named="one pod at rest")
    began = time.monotonic()
    with Watch(cluster, "deployments") as watch:
        url = cluster.url + "/predict/text"
        with SteadyLoad(url, {"input_text": TEXT}, per_second=PER_SECOND) as load:
            cluster.wait_for(lambda: wanted() >= 2, named="the autoscaler to want more pods")
            cluster.wait_for(lambda: deployed() >= 2, named="two ready pods")
            figures["load to two ready pods"] = f"{time.monotonic() - began:.0f} s"
            answered = load.answered
            cluster.wait_for(lambda: load.answered > answered + 50, 60, "answers of both pods")
        began = time.monotonic()
        with SteadyLoad(url, {"input_text": "One."}, per_second=1) as calm:
            cluster.wait_for(lambda: wanted() == deployed() == least, named="one pod again")
            cluster.wait_for(lambda: len(cluster.pods("minilm")) == least, 60, "the pod to go")
        figures["end of the load to one pod"] = f"{time.monotonic() - began:.0f} s"
        ready = [state.thing["status"].get("readyReplicas", 0) for state in watch.states("minilm")]
    assert not load.failures, load.failures[:5]
    assert not calm.failures, calm.failures[:5]
    figures["requests while scaling"] = f"{load.answered + calm.answered}, none failed"
    assert max(ready) >= 2
    assert min(ready) >= least
    cluster.wait_for_model("minilm")
