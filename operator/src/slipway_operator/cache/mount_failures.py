"""Volumes that cannot be mounted. Only events tell: a pod's own status is silent about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

EVENT_SELECTOR = "reason=FailedMount"
"""The events that are watched, of all that a cluster has."""


class MountFailures:
    """What the kubelet said last of each pod whose volumes it could not mount."""

    def __init__(self) -> None:
        self._messages: dict[tuple[str, str], str] = {}

    def put(self, event: dict[str, Any]) -> tuple[str, str]:
        """Remember an event; says which pod it is about, as namespace and name."""
        pod = _pod_of(event)
        self._messages[pod] = str(event.get("message", ""))
        return pod

    def drop(self, event: dict[str, Any]) -> None:
        """Forget an event that expired."""
        self._messages.pop(_pod_of(event), None)

    def of(self, namespace: str, pods: Iterable[str]) -> dict[str, str]:
        """The messages about these pods, by name."""
        return {
            name: self._messages[namespace, name]
            for name in pods
            if (namespace, name) in self._messages
        }


def _pod_of(event: dict[str, Any]) -> tuple[str, str]:
    about = event.get("involvedObject", {})
    return about.get("namespace", ""), about.get("name", "")
