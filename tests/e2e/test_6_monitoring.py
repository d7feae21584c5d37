"""Prometheus, which finds Slipway by its ServiceMonitors, has metrics of every model."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from tests.fixtures.kind_cluster import KindCluster

PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1/query"
MODELS = ("minilm", "sentiment")
QUERIES = {
    "request rate": "rate(prediction_requests_total[5m])",
    "average latency": "rate(prediction_latency_seconds_sum[5m])"
    " / rate(prediction_latency_seconds_count[5m])",
    "error rate": 'rate(prediction_requests_total{status="error"}[5m])',
}
"""The queries that docs/api.md shows. People use them verbatim, so they are tested verbatim."""
SECONDS = 90

Sample = dict[str, Any]


def query(cluster: KindCluster, expression: str) -> list[Sample]:
    """Return the samples of an instant query."""
    response = cluster.get_raw(f"{PROMETHEUS}?query={quote(expression)}")
    assert response["status"] == "success", response
    samples: list[Sample] = response["data"]["result"]
    return samples


def value(sample: Sample) -> float:
    return float(sample["value"][1])


def positive(samples: list[Sample]) -> list[Sample]:
    """Return the samples of minilm above 0: a rate is 0, or a quotient NaN, without requests."""
    return [
        sample
        for sample in samples
        if sample["metric"]["modeldeployment"] == "minilm" and value(sample) > 0
    ]


def send_good_and_bad(cluster: KindCluster) -> None:
    """Send a request that succeeds and one that fails with `InvalidInput`."""
    assert cluster.request("/predict/text", {"input_text": "Counted."}).status_code == 200
    assert cluster.request("/predict/text", {"input_text": 7}).status_code == 422


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_a_target_that_is_up(cluster: KindCluster, model: str) -> None:
    assert cluster.model(model)
    up = f'up{{modeldeployment="{model}", component="inference"}}'

    def is_up() -> bool:
        # A pod that was deleted a moment ago may still be listed, as down.
        return {sample["value"][1] for sample in query(cluster, up)} == {"1"}

    cluster.wait_for(is_up, SECONDS, "the target to be up")


@pytest.mark.parametrize("name", QUERIES)
def test_the_documented_queries_have_data(cluster: KindCluster, name: str) -> None:
    def samples_after_requests() -> list[Sample]:
        send_good_and_bad(cluster)
        return positive(query(cluster, QUERIES[name]))

    # A counter needs two scrapes before it has a rate, so the requests are repeated until then.
    samples = cluster.wait_for(samples_after_requests, SECONDS, f"the {name}")
    assert all(value(sample) < 1000 for sample in samples)


def test_requests_are_counted_by_status_and_code(cluster: KindCluster) -> None:
    def counted() -> set[tuple[str, str]]:
        # Prometheus omits empty labels: a successful request has no label `code`.
        metrics = [sample["metric"] for sample in query(cluster, "prediction_requests_total")]
        return {(metric["status"], metric.get("code", "")) for metric in metrics}

    send_good_and_bad(cluster)
    expected = {("ok", ""), ("error", "InvalidInput")}
    cluster.wait_for(lambda: counted() >= expected, SECONDS, "both requests")
    assert all(
        (status, code == "") in {("ok", True), ("error", False)} for status, code in counted()
    )


def test_prometheus_has_the_alerts(cluster: KindCluster) -> None:
    rules = cluster.get_raw(PROMETHEUS.removesuffix("query") + "rules")["data"]["groups"]
    assert {rule["name"] for group in rules for rule in group["rules"]} >= {"BatchQueueStuck"}
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
