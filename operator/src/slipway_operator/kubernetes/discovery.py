"""Finds what the cluster has beside Kubernetes itself: optional CRDs and ingress classes."""

from __future__ import annotations

from slipway_operator.configuration import Capabilities, Platform
from slipway_operator.kubernetes.client import Client
from slipway_operator.kubernetes.kinds import (
    CHILDREN,
    CUSTOM_RESOURCE,
    HTTP_ROUTE,
    SCALED_OBJECT,
    SERVICE_MONITOR,
    TRIGGER_AUTHENTICATION,
    Kind,
)


def crd_name(kind: Kind) -> str:
    """Name of the CRD that defines a kind."""
    return f"{kind.plural}.{kind.group}"


OPTIONAL_CRDS = tuple(crd_name(kind) for kind in (SCALED_OBJECT, SERVICE_MONITOR, HTTP_ROUTE))


def present_children(capabilities: Capabilities) -> tuple[Kind, ...]:
    """The kinds of children that the cluster can hold."""
    optional = {
        HTTP_ROUTE: capabilities.http_routes,
        SERVICE_MONITOR: capabilities.service_monitors,
        TRIGGER_AUTHENTICATION: capabilities.keda,
        SCALED_OBJECT: capabilities.keda,
    }
    return tuple(kind for kind in CHILDREN if optional.get(kind, True))


async def discover(client: Client, platform: Platform) -> Capabilities:
    """What there is at the moment; raises Unavailable or Rejected."""
    found = {name for name in OPTIONAL_CRDS if await client.get(CUSTOM_RESOURCE, "", name)}
    classes = await client.list_ingress_classes() if platform.routing == "nginx" else []
    return Capabilities(
        keda=crd_name(SCALED_OBJECT) in found,
        service_monitors=crd_name(SERVICE_MONITOR) in found,
        http_routes=crd_name(HTTP_ROUTE) in found,
        ingress_classes=frozenset(classes),
    )
