"""Optional parts of a cluster: kinds defined by other operators, and ingress classes."""

from __future__ import annotations

from dataclasses import dataclass

from slipway_operator.kubernetes.kinds import (
    CHILDREN,
    HTTP_ROUTE,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    TRIGGER_AUTHENTICATION,
    Kind,
)

OPTIONAL_KINDS = (SCALED_OBJECT, SERVICE_MONITOR, HTTP_ROUTE)
"""Kinds whose CRDs show that KEDA, the Prometheus Operator and the Gateway API are installed."""


@dataclass(frozen=True)
class Capabilities:
    """The optional parts that the cluster has. They can change while the operator runs."""

    keda: bool = False
    service_monitors: bool = False
    http_routes: bool = False
    ingress_classes: frozenset[str] = frozenset()

    @property
    def child_kinds(self) -> tuple[Kind, ...]:
        """Kinds of children that the cluster can store."""
        optional = {
            HTTP_ROUTE: self.http_routes,
            SERVICE_MONITOR: self.service_monitors,
            TRIGGER_AUTHENTICATION: self.keda,
            SCALED_OBJECT: self.keda,
        }
        return tuple(kind for kind in CHILDREN if optional.get(kind, True))
