"""Metrics without locks are exposed exactly like the client library's own."""

from __future__ import annotations

from typing import Any

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from slipway_core.observability import collectors

BUCKETS = (0.5, 1, 2.5)


def test_counters_and_histograms_are_exposed_like_those_of_the_client_library() -> None:
    own, reference = CollectorRegistry(), CollectorRegistry()
    counters: tuple[Any, ...] = (
        collectors.Counter("requests", "Help.", ["a", "b"], registry=own),
        prometheus_client.Counter("requests", "Help.", ["a", "b"], registry=reference),
    )
    histograms: tuple[Any, ...] = (
        collectors.Histogram("took", "Help.", ["a"], buckets=BUCKETS, registry=own),
        prometheus_client.Histogram("took", "Help.", ["a"], buckets=BUCKETS, registry=reference),
    )
    alone: tuple[Any, ...] = (
        collectors.Histogram("alone", "Help.", buckets=BUCKETS, registry=own).labels(),
        prometheus_client.Histogram("alone", "Help.", buckets=BUCKETS, registry=reference),
    )
    assert generate_latest(own) == generate_latest(reference), "before the first observation"
    for counter, histogram, single in zip(counters, histograms, alone, strict=True):
        for status in ("ok", 'quoted "\n', "ok"):
            counter.labels("text", status).inc()
        for amount in (0.1, 0.5, 0.50001, 1, 2.5, 99):
            histogram.labels("text").observe(amount)
            single.observe(amount)
    assert generate_latest(own) == generate_latest(reference)


def test_unknown_labels_are_rejected() -> None:
    counter = collectors.Counter("x", "Help.", ["a"], registry=CollectorRegistry())
    with pytest.raises(ValueError, match="has the labels"):
        counter.labels("one", "two")
