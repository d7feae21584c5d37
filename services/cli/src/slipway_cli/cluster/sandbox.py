"""The check of what sandboxes models: the mode of an installation, and the kernels of the nodes."""

from __future__ import annotations

from slipway_cli.cluster.reader import Object
from slipway_cli.cluster.versions import version_numbers
from slipway_cli.finding import Finding, list_names

MIN_LANDLOCK_KERNEL = (5, 13)
REFUSED = {
    "auto": "packages that run code are refused there",
    "required": "no model is served there",
}
"""What becomes of pods on nodes without Landlock, by mode."""


def find_sandbox(nodes: list[Object], mode: str, unconfined: str) -> Finding:
    """Return whether nodes can sandbox models as the mode of an installation says.

    `unconfined` are the names of models that report no sandbox.
    """
    shown = f"mode {mode}" + (f", without sandbox: {unconfined}" if unconfined else "")
    if mode == "off":
        message = f"{shown}: packages are trusted as much as images"
        return Finding("sandbox", "warn", message, "set sandbox.mode=auto in the chart")
    kernels = {
        each["metadata"]["name"]: each["status"]["nodeInfo"]["kernelVersion"]
        for each in nodes
        if each["status"]["nodeInfo"]["operatingSystem"] != "windows"
    }
    if not kernels:
        return Finding("sandbox", "warn", "the cluster has no nodes", "add a node")
    old = [
        f"{name} (Linux {kernel})"
        for name, kernel in sorted(kernels.items())
        if version_numbers(kernel) < MIN_LANDLOCK_KERNEL
    ]
    if old:
        refused = REFUSED.get(mode, REFUSED["auto"])
        message = f"{shown}; without Landlock: {list_names(old)}; {refused}"
        return Finding("sandbox", "warn", message, "update these nodes to Linux 5.13 or newer")
    oldest = min(kernels.values(), key=version_numbers)
    return Finding(
        "sandbox", "ok", f"{shown}; Linux {oldest} or newer has Landlock unless disabled"
    )
