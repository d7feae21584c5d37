"""Faults of containers, from what the kubelet and the containers themselves report."""

from __future__ import annotations

import json
import re

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object
from slipway_operator.observed.finding import Finding, fault

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
CREATE_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})
KILLED_EXIT_CODE = 137

_MISSING_SECRET = re.compile(r"secret \"[^\"]+\" not found|in Secret |non-existent secret key")
_ENGINE_KILLED = re.compile(r"engine process ended .*exit status -9")
_WRONG_SETTINGS = re.compile(r"the settings cannot be used: .+")
_REASON_BY_CODE = {reason.value: reason for reason in Reason}


def find_container_fault(pod: Object, status: Object) -> Finding | None:
    """Return what is wrong with a container, given its status, or None."""
    state = status.get("state", {})
    name = status["name"]
    wait = state.get("waiting", {})
    if wait.get("reason") in PULL_REASONS:
        image = _spec_of(pod, name).get("image", status.get("image", ""))
        detail = wait.get("message", wait["reason"])
        return fault(Reason.IMAGE_PULL_BACK_OFF, f"image `{image}` cannot be pulled: {detail}")
    if wait.get("reason") in CREATE_REASONS:
        return find_missing_secret(wait.get("message", "")) or fault(
            Reason.CONTAINER_CONFIG_INVALID,
            f"container `{name}` cannot be created: {wait.get('message', wait['reason'])}",
        )
    terminated = _last_termination(status)
    return _termination_fault(pod, name, terminated) if terminated else None


def find_missing_secret(message: str) -> Finding | None:
    """Return the fault of a message about a missing Secret or key, None for other messages."""
    if not _MISSING_SECRET.search(message):
        return None
    return fault(Reason.SECRET_NOT_FOUND, message.rpartition("SetUp failed for ")[2])


def is_init_container(pod: Object, name: str) -> bool:
    """Return whether a container is one of the pod's init containers."""
    return any(each["name"] == name for each in pod["spec"].get("initContainers") or [])


def _last_termination(status: Object) -> Object | None:
    """Return how the container last terminated, None if it succeeded or has become ready since."""
    if status.get("ready"):
        return None
    for state in (status.get("state", {}), status.get("lastState", {})):
        terminated: Object | None = state.get("terminated")
        if terminated is not None:
            failed = terminated.get("exitCode") or _is_restarting(status)
            return terminated if failed else None
    return None


def _is_restarting(status: Object) -> bool:
    # A server must not terminate at all: exit status 0 followed by a restart is a fault too.
    return "waiting" in status.get("state", {})


def _termination_fault(pod: Object, name: str, terminated: Object) -> Finding:
    text = terminated.get("message", "")
    limit = _spec_of(pod, name).get("resources", {}).get("limits", {}).get("memory", "none")
    if terminated.get("reason") == "OOMKilled":
        return fault(
            Reason.OOM_KILLED, f"container `{name}` was killed at its memory limit of {limit}"
        )
    if _ENGINE_KILLED.search(text):
        return fault(
            Reason.OOM_KILLED,
            f"an engine of container `{name}` was killed, most likely at its memory limit of "
            f"{limit}",
        )
    reported = _reported_fault(text)
    if reported is not None:
        return reported
    lines = text.strip().split("\n")
    detail = f": {lines[-1]}" if lines[-1] else ""
    exit_code = terminated.get("exitCode")
    # Without OOMKilled, 137 means killed from outside or by a liveness probe.
    killed = ", killed" if exit_code == KILLED_EXIT_CODE else ""
    return fault(
        Reason.CRASH_LOOP_BACK_OFF,
        f"container `{name}` ended with exit status {exit_code}{killed}{detail}",
    )


def _reported_fault(text: str) -> Finding | None:
    """Return the error that the container reported in its termination message, or None.

    The message is a JSON object with a code, or the end of a log with such an object as a line.
    """
    for line in reversed([text, *text.split("\n")]):
        report = _parse(line)
        reason = _REASON_BY_CODE.get(str(report.get("code", "")))
        if reason is not None:
            cause = report.get("cause") or report.get("message") or report.get("event") or ""
            return fault(reason, str(cause) or reason.value)
    wrong = _WRONG_SETTINGS.search(text)
    return fault(Reason.INVALID_SETTINGS, wrong[0]) if wrong else None


def _parse(line: str) -> Object:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _spec_of(pod: Object, name: str) -> Object:
    containers = [*(pod["spec"].get("initContainers") or []), *pod["spec"]["containers"]]
    return next((each for each in containers if each["name"] == name), {})
