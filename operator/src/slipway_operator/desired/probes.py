"""What the kubelet asks model pods, both kinds of which answer at the same paths."""

from __future__ import annotations

from math import ceil

from slipway_operator.desired.names import LIVENESS_PATH, READINESS_PATH
from slipway_operator.kubernetes.objects import Object

STARTUP_PERIOD_SECONDS = 2


def build_startup_probe(port_name: str, seconds: int) -> Object:
    """Waits for the model to be loaded, for about so many seconds."""
    failures = ceil(seconds / STARTUP_PERIOD_SECONDS)
    return _probe(READINESS_PATH, port_name, STARTUP_PERIOD_SECONDS, 5, failures)


def build_readiness_probe(port_name: str) -> Object:
    """Takes a pod that stops out of its Service within seconds."""
    return _probe(READINESS_PATH, port_name, 2, 5, 2)


def build_liveness_probe(port_name: str, period_seconds: int, failures: int) -> Object:
    """Restarts a process that does not answer at all any more."""
    return _probe(LIVENESS_PATH, port_name, period_seconds, 10, failures)


def _probe(path: str, port_name: str, period: int, timeout: int, failures: int) -> Object:
    return {
        "httpGet": {"path": path, "port": port_name},
        "periodSeconds": period,
        "timeoutSeconds": timeout,
        "failureThreshold": failures,
    }
