"""The list of objects that a ModelDeployment owns."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.desired.autoscaling import (
    build_batch_autoscaler,
    build_inference_autoscaler,
    build_scaled_object,
    build_trigger_authentication,
    needs_credentials,
)
from slipway_operator.desired.batch import build_batch_deployment
from slipway_operator.desired.disruption import build_disruption_budget
from slipway_operator.desired.inference import build_inference_deployment
from slipway_operator.desired.metadata import add_hash
from slipway_operator.desired.monitoring import build_service_monitor
from slipway_operator.desired.network import build_batch_policy, build_inference_policy
from slipway_operator.desired.routing import build_route
from slipway_operator.desired.service import (
    build_batch_service,
    build_inference_service,
    build_service_account,
)
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import Plan


def build_children(plan: Plan) -> list[Object]:
    """Return every object of the ModelDeployment, in the order in which they are applied.

    Deployments are absent when the plan refuses what the spec asks for: existing ones stay as they
    are.
    """
    md, platform = plan.md, plan.platform
    manifests = [build_service_account(md, platform), build_inference_service(md)]
    if platform.network_policies:
        manifests.append(build_inference_policy(md, platform))
    if not plan.refusal:
        manifests.append(build_inference_deployment(md, platform))
    manifests.append(build_disruption_budget(md))
    if md.spec.autoscaling:
        manifests.append(build_inference_autoscaler(md, md.spec.autoscaling))
    if plan.batch:
        manifests += _build_batch(plan, plan.batch)
    if plan.route and plan.creates_route:
        manifests.append(build_route(md, platform, plan.route))
    if plan.is_scraped:
        manifests.append(build_service_monitor(md, platform))
    return [add_hash(manifest) for manifest in manifests]


def _build_batch(plan: Plan, batch: Batch) -> list[Object]:
    md, platform = plan.md, plan.platform
    manifests = [build_batch_service(md)]
    if platform.network_policies:
        manifests.append(build_batch_policy(md, platform))
    if not plan.refusal:
        manifests.append(build_batch_deployment(md, platform, batch))
    if not plan.keda_scales_batch:
        return [*manifests, build_batch_autoscaler(md, batch)]
    if needs_credentials(platform):
        manifests.append(build_trigger_authentication(md, platform))
    return [*manifests, build_scaled_object(md, platform, batch)]
