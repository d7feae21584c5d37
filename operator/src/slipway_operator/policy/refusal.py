"""A refusal: what a ModelDeployment asks for and may not have."""

from __future__ import annotations

from dataclasses import dataclass

from slipway_operator.api.v1alpha1.reasons import Reason


@dataclass(frozen=True)
class Refusal:
    """Why the pods of a ModelDeployment are left as they are until its spec or a grant changes."""

    reason: Reason
    fact: str
    """The field, what is wrong with it, and the remedy where it depends on the field."""
    retry_seconds: float | None = None
    """Time after which to decide again, when no event will report a change."""


@dataclass(frozen=True)
class RefusedField:
    """A field of the pods that would lift a restriction."""

    path: str
    """Where it is, such as `spec.podTemplate.spec.containers[server].ports[0].hostPort`."""
    name: str
    """Name by which the platform can allow it: the path below the pod's spec, without items."""
    problem: str
    """What is wrong, in words that follow the path."""
