"""The list of objects that a ModelDeployment owns."""

from __future__ import annotations

from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.desired.autoscaling import (
    batch_autoscaler,
    has_credentials,
    inference_autoscaler,
    scaled_object,
    trigger_authentication,
)
from slipway_operator.desired.batch import batch_deployment
from slipway_operator.desired.disruption import disruption_budget
from slipway_operator.desired.inference import inference_deployment
from slipway_operator.desired.metadata import with_hash
from slipway_operator.desired.monitoring import service_monitor
from slipway_operator.desired.network import batch_policy, inference_policy
from slipway_operator.desired.routing import route
from slipway_operator.desired.service import batch_service, inference_service, service_account
from slipway_operator.kubernetes.objects import Object
from slipway_operator.plan import Plan


def build(plan: Plan) -> list[Object]:
    """Return every object of the ModelDeployment, in the order in which they are applied."""
    md, platform = plan.md, plan.platform
    manifests = [service_account(md, platform), inference_service(md)]
    if platform.network_policies:
        manifests.append(inference_policy(md, platform))
    manifests += [inference_deployment(md, platform), disruption_budget(md)]
    if md.spec.autoscaling:
        manifests.append(inference_autoscaler(md, md.spec.autoscaling))
    if plan.batch:
        manifests += _batch(plan, plan.batch)
    if plan.route and plan.creates_route:
        manifests.append(route(md, platform, plan.route))
    if plan.is_scraped:
        manifests.append(service_monitor(md, platform))
    return [with_hash(manifest) for manifest in manifests]


def _batch(plan: Plan, batch: Batch) -> list[Object]:
    md, platform = plan.md, plan.platform
    manifests = [batch_service(md)]
    if platform.network_policies:
        manifests.append(batch_policy(md, platform))
    manifests.append(batch_deployment(md, platform, batch))
    if not plan.keda_scales_batch:
        return [*manifests, batch_autoscaler(md, batch)]
    if has_credentials(platform):
        manifests.append(trigger_authentication(md, platform))
    return [*manifests, scaled_object(md, platform, batch)]
