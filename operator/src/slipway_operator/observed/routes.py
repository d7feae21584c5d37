"""The condition RouteReady: whether requests from outside the cluster reach the model."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.kubernetes.objects import Object, get_condition
from slipway_operator.observed.finding import Finding, fault, holds, waiting
from slipway_operator.plan import Plan


def check_route(plan: Plan, live: Object | None) -> Finding:
    """Return the state of the planned Ingress or HTTPRoute; `live` is None while it is absent."""
    if plan.route and not plan.is_host_granted:
        where = f"host `{plan.route.host}`" if plan.route.host else "routes at any host"
        fact = f"namespace `{plan.md.namespace}` has no grant for {where}"
        return fault(Reason.HOST_NOT_GRANTED, fact)
    if plan.older_claimant:
        return fault(
            Reason.ROUTE_CONFLICT,
            f"the older ModelDeployment `{plan.older_claimant}` serves this host and path",
        )
    if plan.platform.routing == "gateway":
        return _http_route(plan, live)
    return _ingress(plan, live)


def _ingress(plan: Plan, live: Object | None) -> Finding:
    name = plan.platform.ingress_class
    if name not in plan.capabilities.ingress_classes:
        return fault(Reason.INGRESS_CLASS_NOT_FOUND, f"the cluster has no IngressClass `{name}`")
    if live is None:
        return waiting(Reason.WAITING_FOR_CONTROLLER, "the Ingress is being created")
    addresses = live.get("status", {}).get("loadBalancer", {}).get("ingress") or []
    shown = [each.get("hostname") or each.get("ip", "") for each in addresses]
    where = f" at {', '.join(shown)}" if shown else "; it publishes no address"
    return holds(Reason.ROUTED, f"{plan.url} by the ingress controller of class `{name}`{where}")


def _http_route(plan: Plan, live: Object | None) -> Finding:
    if not plan.capabilities.http_routes:
        return fault(Reason.GATEWAY_API_NOT_INSTALLED, "the cluster has no kind HTTPRoute")
    gateway = f"{plan.platform.gateway_namespace}/{plan.platform.gateway_name}"
    parents = (live or {}).get("status", {}).get("parents") or []
    if not parents:
        return waiting(
            Reason.WAITING_FOR_CONTROLLER, f"gateway `{gateway}` has not processed the route yet"
        )
    for condition_type in ("Accepted", "ResolvedRefs"):
        for parent in parents:
            accepted = get_condition({"status": parent}, condition_type)
            if accepted.get("status") == "False":
                message = accepted.get("message", "")
                return fault(Reason.ROUTE_NOT_ACCEPTED, f"gateway `{gateway}`: {message}")
    limited = plan.md.spec.route.rate_limit
    limits = "; `rateLimit` has no effect on this gateway" if limited else ""
    return holds(Reason.ROUTED, f"{plan.url} by gateway `{gateway}`{limits}")
