"""A Prometheus that knows only the ServiceMonitors has figures of every model."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from tests.fixtures.kind_cluster import KindCluster

PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090/proxy/api/v1/query"
MODELS = ("minilm", "sentiment")
QUERIES = {
    "request rate": "sum(rate(prediction_requests_total[2m]))",
    "average latency": "sum(rate(prediction_latency_seconds_sum[2m]))"
    " / sum(rate(prediction_latency_seconds_count[2m]))",
    "error rate": 'sum(rate(prediction_requests_total{status!="ok"}[2m]))'
    " / sum(rate(prediction_requests_total[2m]))",
}
SECONDS = 90


def query(cluster: KindCluster, expression: str) -> list[dict[str, Any]]:
    """The samples that a query gives now."""
    answer = cluster.get_raw(f"{PROMETHEUS}?query={quote(expression)}")
    assert answer["status"] == "success", answer
    samples: list[dict[str, Any]] = answer["data"]["result"]
    return samples


def value(cluster: KindCluster, expression: str) -> float:
    """The one value of a query; 0 while it has none."""
    samples = query(cluster, expression)
    return float(samples[0]["value"][1]) if samples else 0.0


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_a_target_that_is_up(cluster: KindCluster, model: str) -> None:
    assert cluster.model(model)
    up = f'up{{modeldeployment="{model}", component="inference"}}'

    def is_up() -> bool:
        # A pod that was taken away a moment ago may still count, as down.
        return {sample["value"][1] for sample in query(cluster, up)} == {"1"}

    cluster.wait_for(is_up, SECONDS, "the target to be up")


@pytest.mark.parametrize("name", QUERIES)
def test_the_three_queries_have_data(cluster: KindCluster, name: str) -> None:
    def asked() -> float:
        assert cluster.ask("/predict/text", {"input_text": "Counted."}).status_code == 200
        assert cluster.ask("/predict/text", {"input_text": 7}).status_code == 422
        return value(cluster, QUERIES[name])

    found = cluster.wait_for(asked, SECONDS, f"the {name}")
    assert 0 < found < 1000
    if name == "error rate":
        assert found < 1


def test_prometheus_has_the_alerts(cluster: KindCluster) -> None:
    rules = cluster.get_raw(PROMETHEUS.removesuffix("query") + "rules")["data"]["groups"]
    assert {rule["name"] for group in rules for rule in group["rules"]} >= {"BatchQueueStuck"}
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}
