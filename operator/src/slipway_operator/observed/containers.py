"""Why a container does not run, from what the kubelet says of it."""

from __future__ import annotations

import json
import re
from typing import Any

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.observed.finding import Finding, Object, fault

PULL_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"}
)
CREATE_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError"})
KILLED_EXIT = 137

_MISSING_SECRET = re.compile(r"secret \"[^\"]+\" not found|in Secret |non-existent secret key")
_ENGINE_KILLED = re.compile(r"engine process ended .*exit status -9")
_WRONG_SETTINGS = re.compile(r"the settings cannot be used: .+")
_REASON_BY_CODE = {reason.value: reason for reason in Reason}


def container_fault(pod: Object, status: Object) -> Finding | None:
    """What is wrong with one container, or None."""
    state = status.get("state", {})
    name = status["name"]
    wait = state.get("waiting", {})
    if wait.get("reason") in PULL_REASONS:
        image = _declared(pod, name).get("image", status.get("image", ""))
        detail = wait.get("message", wait["reason"])
        return fault(Reason.IMAGE_PULL_BACK_OFF, f"image `{image}` cannot be fetched: {detail}")
    if wait.get("reason") in CREATE_REASONS:
        return missing_secret(wait.get("message", "")) or fault(
            Reason.CONTAINER_CONFIG_INVALID,
            f"container `{name}` cannot be created: {wait.get('message', wait['reason'])}",
        )
    ended = _last_end(status)
    return _ended_fault(pod, name, ended) if ended else None


def missing_secret(message: str) -> Finding | None:
    """The fault of a message that says a Secret, or a key in one, is missing."""
    if not _MISSING_SECRET.search(message):
        return None
    return fault(Reason.SECRET_NOT_FOUND, message.rpartition("SetUp failed for ")[2])


def is_initial(pod: Object, name: str) -> bool:
    """Whether the container is one of those that run before the server."""
    return any(each["name"] == name for each in pod["spec"].get("initContainers") or [])


def _last_end(status: Object) -> Object | None:
    """How the container ended last, unless it ended well or has run well since."""
    if status.get("ready"):
        return None
    for state in (status.get("state", {}), status.get("lastState", {})):
        ended: Object | None = state.get("terminated")
        if ended is not None:
            return ended if ended.get("exitCode") or _is_server(status, state) else None
    return None


def _is_server(status: Object, state: Object) -> bool:
    """A server that ends with exit status 0 and is started again is a fault too."""
    return "waiting" in status.get("state", {}) and "terminated" in state


def _ended_fault(pod: Object, name: str, ended: Object) -> Finding:
    declared = _declared(pod, name)
    text = ended.get("message", "")
    limit = declared.get("resources", {}).get("limits", {}).get("memory", "none")
    if ended.get("reason") == "OOMKilled":
        return fault(
            Reason.OOM_KILLED, f"container `{name}` was killed at its memory limit of {limit}"
        )
    if _ENGINE_KILLED.search(text):
        return fault(
            Reason.OOM_KILLED,
            f"an engine of container `{name}` was killed, most likely at its memory limit of "
            f"{limit}",
        )
    own = _own_words(text)
    if own is not None:
        return own
    lines = text.strip().splitlines()
    detail = f": {lines[-1]}" if lines else ""
    exit_code = ended.get("exitCode")
    # 137 without OOMKilled: killed from outside, or by a liveness probe.
    killed = ", killed" if exit_code == KILLED_EXIT else ""
    return fault(
        Reason.CRASH_LOOP_BACK_OFF,
        f"container `{name}` ended with exit status {exit_code}{killed}{detail}",
    )


def _own_words(text: str) -> Finding | None:
    """The error that the container itself reported, as a JSON object or as the last of its JSON
    log lines that has a code.
    """
    for line in reversed([text, *text.splitlines()]):
        report = _parsed(line)
        reason = _REASON_BY_CODE.get(str(report.get("code", "")))
        if reason is not None:
            words = report.get("cause") or report.get("message") or report.get("event") or ""
            return fault(reason, str(words) or reason.value)
    wrong = _WRONG_SETTINGS.search(text)
    return fault(Reason.INVALID_SETTINGS, wrong[0]) if wrong else None


def _parsed(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _declared(pod: Object, name: str) -> Object:
    spec = pod["spec"]
    everything = [*(spec.get("initContainers") or []), *spec["containers"]]
    return next((each for each in everything if each["name"] == name), {})
