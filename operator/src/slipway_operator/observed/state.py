"""What the cluster shows of one ModelDeployment: the input of every condition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway_operator.kubernetes.objects import Object
from slipway_operator.observed.finding import Finding


@dataclass(frozen=True)
class ServerReport:
    """What a model server says of itself."""

    version: str = ""
    """Version of the model; empty while it is unknown."""
    is_sandboxed: bool | None = None
    """Whether its engines are; None while it is unknown."""


NO_REPORT = ServerReport()


@dataclass(frozen=True)
class ObservedState:
    """Live objects of one ModelDeployment; None for those that do not exist."""

    inference: Object | None = None
    batch: Object | None = None
    inference_pods: list[Object] = field(default_factory=list)
    batch_pods: list[Object] = field(default_factory=list)
    mount_failures: Mapping[str, str] = field(default_factory=dict)
    """The kubelet's message by the name of a pod whose volumes it could not mount."""
    inference_autoscaler: Object | None = None
    batch_autoscaler: Object | None = None
    batch_scaled_object: Object | None = None
    route: Object | None = None
    report: ServerReport = NO_REPORT
    """What the newest ready server reports."""
    problem: Finding | None = None
    """First problem of applying the objects."""
