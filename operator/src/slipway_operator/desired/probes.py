"""Probes of inference pods and batch workers, which respond at the same port and paths."""

from __future__ import annotations

from math import ceil

from slipway_operator.desired.names import LIVENESS_PATH, METRICS_PORT_NAME, READINESS_PATH
from slipway_operator.kubernetes.objects import Object

STARTUP_PERIOD_SECONDS = 2


def build_startup_probe(seconds: int) -> Object:
    """Return a probe that gives the model a number of seconds to load."""
    failures = ceil(seconds / STARTUP_PERIOD_SECONDS)
    return _probe(READINESS_PATH, STARTUP_PERIOD_SECONDS, 5, failures)


def build_readiness_probe() -> Object:
    """Return a probe that removes a terminating pod from its Service within seconds."""
    return _probe(READINESS_PATH, 2, 5, 2)


def build_liveness_probe(period_seconds: int, failures: int) -> Object:
    """Return a probe that restarts a container which no longer responds."""
    return _probe(LIVENESS_PATH, period_seconds, 10, failures)


def _probe(path: str, period: int, timeout: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": METRICS_PORT_NAME},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
