"""The ingress limits what one client may send, by the formula that docs/kubernetes.md states."""

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
REFUSED = {429, 503}
"""Ingress controllers differ in how they say that it was too much."""


@pytest.fixture(scope="module")
def limited(cluster: KindCluster) -> dict[str, int]:
    """The sample with a rate limit, answering through the ingress; gives its limits."""
    cluster.run("apply", "-f", SAMPLE)
    model = cluster.wait_for_model("sentiment")
    cluster.wait_for(lambda: cluster.ask(PATH, BODY).status_code == 200, 60, "its route")
    limits: dict[str, int] = model["spec"]["route"]["rateLimit"]
    return limits


def test_a_burst_is_cut_to_the_documented_number(
    cluster: KindCluster, limited: dict[str, int], figures: dict[str, str]
) -> None:
    rate = limited["requestsPerSecond"]
    at_once = 1 + rate * limited["burstMultiplier"]
    url = cluster.url + PATH
    with (
        httpx2.Client(timeout=60, limits=httpx2.Limits(max_connections=CLIENTS)) as client,
        ThreadPoolExecutor(CLIENTS) as threads,
    ):
        began = time.monotonic()
        asked = [threads.submit(client.post, url, json=BODY) for _ in range(REQUESTS)]
        statuses = [each.result().status_code for each in asked]
        seconds = time.monotonic() - began
    let_through = statuses.count(200)
    figures["of a burst of 200"] = f"{let_through} let through in {seconds:.1f} s"
    assert {200} < set(statuses) <= {200, *REFUSED}, statuses
    assert rate <= let_through <= at_once + rate * seconds + 1, (let_through, seconds)


def test_after_the_burst_all_is_as_before(cluster: KindCluster, limited: dict[str, int]) -> None:
    cluster.wait_for(lambda: cluster.ask(PATH, BODY).status_code == 200, 30, "an answer again")
    rate = limited["requestsPerSecond"] / 2
    with SteadyLoad(cluster.url + PATH, BODY, per_second=rate, clients=1) as load:
        cluster.wait_for(lambda: load.answered >= 10, 60, "answers at half of the limit")
    assert not load.failures, load.failures[:5]
    # The other models never noticed.
    assert cluster.ask("/predict/text", {"input_text": "Hello."}).status_code == 200
