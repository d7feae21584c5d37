"""Metrics of every HTTP request by the template of its route."""

from __future__ import annotations

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator
from prometheus_fastapi_instrumentator.metrics import Info

from slipway_core.observability.collectors import LATENCY_SECONDS, Counter, Histogram

UNCOUNTED_PATHS = frozenset({"/livez", "/readyz", "/metrics"})
"""Paths that probes and Prometheus request all the time: neither counted nor logged."""

_REQUESTS = Counter(
    "http_requests",
    "HTTP requests by their route and the class of their status, such as 2xx.",
    ["handler", "method", "status"],
)
_DURATION = Histogram(
    "http_request_duration_seconds",
    "From the request's headers to the end of its answer.",
    ["handler", "method"],
    buckets=LATENCY_SECONDS,
)


def count_request(handler: str, method: str, status: int, seconds: float) -> None:
    """Count a finished request. `handler` is a route's template, never a client's path."""
    _REQUESTS.labels(handler, method, f"{status // 100}xx").inc()
    _DURATION.labels(handler, method).observe(seconds)


def instrument(api: FastAPI) -> None:
    """Count what FastAPI dispatches; paths without a route are counted together as `none`."""
    excluded = [f"^{path}$" for path in sorted(UNCOUNTED_PATHS)]
    Instrumentator(excluded_handlers=excluded, should_group_status_codes=False).add(
        _count
    ).instrument(api)


def _count(info: Info) -> None:
    count_request(
        info.modified_handler, info.method, int(info.modified_status), info.modified_duration
    )
