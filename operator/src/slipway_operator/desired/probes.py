"""Probes of inference pods and batch workers, which respond at the same paths."""

from __future__ import annotations

from math import ceil

from slipway_operator.desired.names import LIVENESS_PATH, READINESS_PATH
from slipway_operator.kubernetes.objects import Object

STARTUP_PERIOD_SECONDS = 2


def build_startup_probe(port_name: str, seconds: int) -> Object:
    """Return a probe that gives the model a number of seconds to load."""
    failures = ceil(seconds / STARTUP_PERIOD_SECONDS)
    return _probe(READINESS_PATH, port_name, STARTUP_PERIOD_SECONDS, 5, failures)


def build_readiness_probe(port_name: str) -> Object:
    """Return a probe that removes a terminating pod from its Service within seconds."""
    return _probe(READINESS_PATH, port_name, 2, 5, 2)


def build_liveness_probe(port_name: str, period_seconds: int, failures: int) -> Object:
    """Return a probe that restarts a container which no longer responds."""
    return _probe(LIVENESS_PATH, port_name, period_seconds, 10, failures)


def _probe(path: str, port_name: str, period: int, timeout: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": port_name},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
