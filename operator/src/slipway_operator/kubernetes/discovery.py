"""Discovery of the optional parts of a cluster."""

from __future__ import annotations

from slipway_operator.configuration import Platform
from slipway_operator.kubernetes.capabilities import OPTIONAL_KINDS, Capabilities
from slipway_operator.kubernetes.client import Client
from slipway_operator.kubernetes.kinds import (
    CUSTOM_RESOURCE,
    HTTP_ROUTE,
    SCALED_OBJECT,
    SERVICE_MONITOR,
)


async def discover(client: Client, platform: Platform) -> Capabilities:
    """Return what the cluster has now. Raises Unavailable or Rejected."""
    installed = {
        kind for kind in OPTIONAL_KINDS if await client.get(CUSTOM_RESOURCE, "", kind.crd_name)
    }
    classes = await client.list_ingress_classes() if platform.routing == "nginx" else []
    return Capabilities(
        keda=SCALED_OBJECT in installed,
        service_monitors=SERVICE_MONITOR in installed,
        http_routes=HTTP_ROUTE in installed,
        ingress_classes=frozenset(classes),
    )
