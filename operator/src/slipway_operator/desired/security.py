"""Security contexts that meet the Pod Security Standard `restricted`."""

from __future__ import annotations

from slipway_operator.kubernetes.objects import Object

USER_ID = 65532


def build_pod_security() -> Object:
    """Return the `securityContext` of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER_ID,
        "runAsGroup": USER_ID,
        "fsGroup": USER_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def build_container_security() -> Object:
    """Return the `securityContext` of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
