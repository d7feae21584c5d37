"""What a ModelDeployment stands for: pure functions from it to the objects the cluster shall have.

Nothing here reads the cluster or changes its input; each builder makes one object as a plain dict.
"""

from __future__ import annotations

from typing import Any

from slipway_operator.api.v1alpha1.labels import with_hash
from slipway_operator.api.v1alpha1.model_deployment import ModelDeployment
from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.configuration import Capabilities, Platform
from slipway_operator.desired.autoscaling import (
    batch_autoscaler,
    has_credentials,
    inference_autoscaler,
    scaled_object,
    trigger_authentication,
)
from slipway_operator.desired.batch import batch_deployment, runs_batch
from slipway_operator.desired.disruption import disruption_budget
from slipway_operator.desired.inference import inference_deployment
from slipway_operator.desired.monitoring import service_monitor
from slipway_operator.desired.network import batch_policy, inference_policy
from slipway_operator.desired.routing import route_of
from slipway_operator.desired.service import batch_service, inference_service, service_account

Manifest = dict[str, Any]


def build(
    md: ModelDeployment, platform: Platform, capabilities: Capabilities, *, older_claimant: str = ""
) -> list[Manifest]:
    """Every object of the ModelDeployment, in the order in which they are applied. `older_claimant`
    names an older ModelDeployment that answers at the same place.
    """
    manifests = [service_account(md, platform), inference_service(md)]
    if platform.network_policies:
        manifests.append(inference_policy(md, platform))
    manifests += [inference_deployment(md, platform), disruption_budget(md)]
    if md.spec.autoscaling:
        manifests.append(inference_autoscaler(md, md.spec.autoscaling))
    if md.spec.batch and runs_batch(md, platform):
        manifests += _batch(md, platform, capabilities, md.spec.batch)
    if route := route_of(md, platform, capabilities, older_claimant):
        manifests.append(route)
    is_scraped = md.spec.monitoring.enabled and platform.service_monitors
    if is_scraped and capabilities.service_monitors:
        manifests.append(service_monitor(md, platform))
    return [with_hash(manifest) for manifest in manifests]


def _batch(
    md: ModelDeployment, platform: Platform, capabilities: Capabilities, batch: Batch
) -> list[Manifest]:
    manifests = [batch_service(md)]
    if platform.network_policies:
        manifests.append(batch_policy(md, platform))
    manifests.append(batch_deployment(md, platform, batch))
    if not (capabilities.keda and platform.redis_address):
        return [*manifests, batch_autoscaler(md, batch)]
    if has_credentials(platform):
        manifests.append(trigger_authentication(md, platform))
    return [*manifests, scaled_object(md, platform, batch)]
