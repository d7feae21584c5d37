"""Whether requests from outside reach the model."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.configuration import Capabilities, Platform
from slipway_operator.desired.routing import url_of
from slipway_operator.observed.finding import (
    Finding,
    Object,
    condition,
    fault,
    holds,
    waiting,
)


def route(
    md: ModelDeployment,
    platform: Platform,
    capabilities: Capabilities,
    live: Object | None,
    older_claimant: str,
) -> Finding:
    """The state of the Ingress or HTTPRoute; `older_claimant` names an older ModelDeployment
    that answers at the same place.
    """
    if older_claimant:
        return fault(
            Reason.ROUTE_CONFLICT, f"ModelDeployment `{older_claimant}` answers at the same path"
        )
    if platform.routing == "gateway":
        return _http_route(md, platform, capabilities, live)
    name = platform.ingress_class
    if name not in capabilities.ingress_classes:
        return fault(Reason.INGRESS_CLASS_NOT_FOUND, f"the cluster has no IngressClass `{name}`")
    if live is None:
        return waiting(Reason.WAITING_FOR_CONTROLLER, "the Ingress is being created")
    addresses = live.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    shown = [each.get("hostname") or each.get("ip", "") for each in addresses]
    where = f" at {', '.join(shown)}" if shown else "; it publishes no address"
    return holds(
        Reason.ROUTED, f"{url_of(md, platform)} by the ingress controller of class `{name}`{where}"
    )


def _http_route(
    md: ModelDeployment, platform: Platform, capabilities: Capabilities, live: Object | None
) -> Finding:
    if not capabilities.http_routes:
        return fault(Reason.GATEWAY_API_NOT_INSTALLED, "the cluster does not know HTTPRoute")
    gateway = f"{platform.gateway_namespace}/{platform.gateway_name}"
    parents = (live or {}).get("status", {}).get("parents") or []
    if not parents:
        return waiting(Reason.WAITING_FOR_CONTROLLER, f"gateway `{gateway}` has not answered yet")
    for kind in ("Accepted", "ResolvedRefs"):
        for parent in parents:
            found = condition({"status": parent}, kind)
            if found.get("status") == "False":
                return fault(
                    Reason.ROUTE_NOT_ACCEPTED, f"gateway `{gateway}`: {found.get('message', '')}"
                )
    limits = "; `rateLimit` has no effect on this gateway" if md.spec.route.rate_limit else ""
    return holds(Reason.ROUTED, f"{url_of(md, platform)} by gateway `{gateway}`{limits}")
