"""KEDA and the services use the same queue."""

from __future__ import annotations

from tests.fixtures.modeldeployments import model_deployment, platform

from slipway_core.settings import ServiceSettings
from slipway_operator.api.v1alpha1.scaling import Batch
from slipway_operator.desired.autoscaling import build_scaled_object
from slipway_operator.desired.environment import build_batch_environment


def test_keda_reads_the_queue_of_the_services() -> None:
    md = model_deployment(batch={})
    environment = build_batch_environment(md, platform())
    settings = ServiceSettings(
        namespace=environment["SLIPWAY_NAMESPACE"], deployment=environment["SLIPWAY_DEPLOYMENT"]
    )
    (trigger,) = build_scaled_object(md, platform(), Batch())["spec"]["triggers"]
    assert trigger["metadata"]["listName"] == settings.queue_name
