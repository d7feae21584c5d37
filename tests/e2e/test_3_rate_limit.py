"""The ingress limits the requests of a client as documented in docs/kubernetes.md."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
from tests.fixtures.kind_cluster import KindCluster
from tests.fixtures.steady_load import SteadyLoad

SAMPLE = "manifests/samples/sentiment.yaml"
PATH = "/models/sentiment/predict/text"
BODY = {"input_text": "What a day.", "labels": ["good", "bad"]}
REQUESTS = 200
CLIENTS = 40
REJECTED = {429, 503}
"""Ingress controllers reject requests beyond the limit with different statuses."""


@pytest.fixture(scope="module")
def limited(cluster: KindCluster) -> dict[str, int]:
    """Apply the sample with a rate limit, wait for its route, and return the limits."""
    cluster.run("apply", "-f", SAMPLE)
    model = cluster.wait_for_model("sentiment")
    cluster.wait_for(lambda: cluster.request(PATH, BODY).status_code == 200, 60, "its route")
    limits: dict[str, int] = model["spec"]["route"]["rateLimit"]
    return limits


def test_a_burst_is_limited_to_the_documented_number(
    cluster: KindCluster, limited: dict[str, int], figures: dict[str, str]
) -> None:
    rate = limited["requestsPerSecond"]
    burst = 1 + rate * limited["burstMultiplier"]
    url = cluster.url + PATH
    with (
        httpx2.Client(timeout=60, limits=httpx2.Limits(max_connections=CLIENTS)) as client,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        began = time.monotonic()
        responses = [threads.submit(client.post, url, json=BODY) for _ in range(REQUESTS)]
        statuses = [each.result().status_code for each in responses]
        seconds = time.monotonic() - began
    accepted = statuses.count(200)
    figures["burst of 200 requests"] = f"{accepted} accepted in {seconds:.1f} s"
    assert {200} < set(statuses) <= {200, *REJECTED}, statuses
    assert rate <= accepted <= burst + rate * seconds + 1, (accepted, seconds)


def test_requests_succeed_again_after_the_burst(
    cluster: KindCluster, limited: dict[str, int]
) -> None:
    cluster.wait_for(lambda: cluster.request(PATH, BODY).status_code == 200, 30, "a response again")
    rate = limited["requestsPerSecond"] / 2
    with SteadyLoad(cluster.url + PATH, BODY, per_second=rate, clients=1) as load:
        cluster.wait_for(lambda: load.completed >= 10, 60, "responses at half the limit")
    assert not load.failures, load.failures[:5]
    # Other models are not affected.
    assert cluster.request("/predict/text", {"input_text": "Hello."}).status_code == 200
