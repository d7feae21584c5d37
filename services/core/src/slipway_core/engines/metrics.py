"""Metrics of the engine processes."""

from __future__ import annotations

from prometheus_client import Gauge

from slipway_core.models.model import Sandbox

ENGINE_SANDBOXED = Gauge(
    "slipway_engine_sandboxed",
    "1 when the engines are sandboxed, with the version of the kernel's Landlock interface (0: "
    "none), and whether models have the network.",
    ["landlock_abi", "network"],
)


def observe_sandbox(sandbox: Sandbox) -> None:
    """Record how the engines of this process are confined."""
    ENGINE_SANDBOXED.clear()
    network = str(sandbox.network).lower()
    ENGINE_SANDBOXED.labels(str(sandbox.landlock_abi), network).set(sandbox.active)
