"""Volumes that cannot be mounted. Only events report this; the status of a pod does not."""

from __future__ import annotations

from collections.abc import Iterable

from slipway_operator.kubernetes.objects import Key, Object

EVENT_SELECTOR = "reason=FailedMount"
"""Field selector of the events to watch."""


class MountFailures:
    """The kubelet's latest message about each pod whose volumes it could not mount."""

    def __init__(self) -> None:
        self._messages: dict[Key, str] = {}

    def put(self, event: Object) -> Key:
        """Store the message of an event. Return the pod that it is about."""
        pod = _pod_of(event)
        self._messages[pod] = str(event.get("message", ""))
        return pod

    def drop(self, event: Object) -> None:
        """Remove the message of an expired event."""
        self._messages.pop(_pod_of(event), None)

    def messages(self, namespace: str, pods: Iterable[str]) -> dict[str, str]:
        """Return the messages about some pods of a namespace, by the name of the pod."""
        return {
            name: self._messages[Key(namespace, name)]
            for name in pods
            if Key(namespace, name) in self._messages
        }


def _pod_of(event: Object) -> Key:
    pod = event.get("involvedObject", {})
    return Key(pod.get("namespace", ""), pod.get("name", ""))
