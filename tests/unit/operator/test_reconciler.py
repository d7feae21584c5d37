"""Reconciliations against an API server in memory."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from tests.fixtures.modeldeployments import manifest, model_deployment
from tests.fixtures.observations import KEDA, NGINX
from tests.fixtures.operator_process import operator_settings

from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import OwnedObjects
from slipway_operator.control.applier import replicas_to_hand_over
from slipway_operator.control.controller import Controller
from slipway_operator.control.reconciler import Reconciler
from slipway_operator.control.server_reports import ServerReports
from slipway_operator.desired.inference import build_inference_deployment
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.client import Client
from slipway_operator.kubernetes.kinds import DEPLOYMENT, INGRESS, MODEL_DEPLOYMENT, Kind
from slipway_operator.kubernetes.objects import Object, key_of

AUTOSCALED: Object = {"autoscaling": {"minReplicas": 2, "maxReplicas": 5}}


class FakeClient(Client):
    """A client of an API server that accepts everything."""

    def __init__(self, *deployments: Object) -> None:
        self.objects: dict[tuple[Kind, str], Object] = {}
        self.handed_over: list[tuple[str, int]] = []
        self.writes = 0
        for body in deployments:
            self.objects[MODEL_DEPLOYMENT, body["metadata"]["name"]] = body

    async def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        return copy.deepcopy(self.objects.get((kind, name)))

    async def apply(self, kind: Kind, manifest: Object) -> Object:
        self.writes += 1
        name, applied = manifest["metadata"]["name"], copy.deepcopy(manifest)
        if kind == DEPLOYMENT:
            applied["spec"].setdefault("replicas", max(1, self.replicas(name)))
        self.objects[kind, name] = applied
        return copy.deepcopy(applied)

    async def hand_over_replicas(self, kind: Kind, namespace: str, name: str, count: int) -> None:
        self.handed_over.append((name, count))
        self.objects[kind, name]["spec"]["replicas"] = count

    async def write_status(self, namespace: str, name: str, status: Object) -> Object | None:
        body = self.objects.get((MODEL_DEPLOYMENT, name))
        if body is None:
            return None
        body["status"] = status
        return copy.deepcopy(body)

    async def delete(self, kind: Kind, namespace: str, name: str) -> None:
        self.objects.pop((kind, name), None)

    async def list_managed(self, kind: Kind) -> AsyncIterator[Object]:
        for (each, _), body in list(self.objects.items()):
            if each == kind:
                yield copy.deepcopy(body)

    async def list_ingress_classes(self) -> list[str]:
        return ["nginx"]

    async def create_event(self, event: Object) -> None:
        return None

    def replicas(self, name: str) -> int:
        """`spec.replicas` of a Deployment; -1 when there is none."""
        deployment = self.objects.get((DEPLOYMENT, name))
        return int(deployment["spec"]["replicas"]) if deployment else -1


class Bench:
    """A reconciler with its caches, without watches."""

    def __init__(self) -> None:
        settings = operator_settings()
        self.client = FakeClient()
        self.deployments = ModelDeployments(settings)
        self.objects = OwnedObjects()
        self._reconciler = Reconciler(
            self.client,
            settings,
            self.deployments,
            self.objects,
            MountFailures(),
            ServerReports(on_change=lambda _: None),
        )

    async def reconcile(self, body: Object, capabilities: Capabilities = NGINX) -> None:
        """Reconcile as after a watch event for this ModelDeployment."""
        self.client.objects[MODEL_DEPLOYMENT, body["metadata"]["name"]] = copy.deepcopy(body)
        self.deployments.put(body)
        await self._reconciler.reconcile(key_of(body), capabilities)

    def scale(self, name: str, replicas: int) -> None:
        """Scale a Deployment as `kubectl scale` or KEDA does."""
        body = self.client.objects[DEPLOYMENT, name]
        body["spec"]["replicas"] = replicas
        self.objects.put(DEPLOYMENT, body)


def _reported(
    name: str = "minilm", version: int = 1, created: str = "2026-01-01T00:00:00Z", **spec: Any
) -> Object:
    """A ModelDeployment as the watch reports it; each version has its own spec."""
    body = manifest(name, **spec)
    body["metadata"] |= {
        "uid": f"uid-of-{name}",
        "generation": version,
        "resourceVersion": str(version),
        "creationTimestamp": created,
    }
    return body


async def _wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):  # less than the interval of resyncs
        while not condition():  # noqa: ASYNC110 - the fake client has no events
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("before", "present", "now", "min_replicas", "count"),
    [
        ({"replicas": 4}, 4, AUTOSCALED, 2, 4),
        ({"replicas": 1}, 1, AUTOSCALED, 2, 1),
        ({"replicas": 0}, 0, AUTOSCALED, 2, 2),
        (AUTOSCALED, 3, AUTOSCALED, 2, None),
        (AUTOSCALED, 0, AUTOSCALED, 2, 2),
        (AUTOSCALED, 0, AUTOSCALED, 0, None),
        (AUTOSCALED, 3, {"replicas": 0}, 0, None),
        ({"replicas": 0}, 0, {"replicas": 0}, 0, None),
    ],
)
def test_how_many_pods_an_autoscaler_starts_with(
    before: Object, present: int, now: Object, min_replicas: int, count: int | None
) -> None:
    settings = operator_settings()
    current = build_inference_deployment(model_deployment(**before), settings)
    current["spec"]["replicas"] = present
    desired = build_inference_deployment(model_deployment(**now), settings)
    assert replicas_to_hand_over(current, desired, min_replicas) == count
    assert replicas_to_hand_over(None, desired, min_replicas) is None


async def test_a_stopped_model_that_gets_an_autoscaler_starts() -> None:
    bench = Bench()
    await bench.reconcile(_reported(replicas=0))
    assert bench.client.replicas("minilm") == 0
    await bench.reconcile(_reported(version=2, **AUTOSCALED))
    assert bench.client.replicas("minilm") == 2


async def test_an_autoscaled_model_at_zero_pods_is_started_again() -> None:
    bench = Bench()
    await bench.reconcile(_reported(**AUTOSCALED))
    bench.scale("minilm", 0)
    await bench.reconcile(_reported(**AUTOSCALED))
    assert bench.client.replicas("minilm") == 2
    bench.scale("minilm", 3)
    writes = bench.client.writes
    await bench.reconcile(_reported(**AUTOSCALED))
    assert bench.client.handed_over == [("minilm", 2)]
    assert bench.client.writes == writes


async def test_workers_stopped_by_keda_start_when_an_hpa_takes_over() -> None:
    bench = Bench()
    await bench.reconcile(_reported(batch={}), KEDA)
    bench.scale("minilm-batch", 0)
    await bench.reconcile(_reported(batch={}), KEDA)
    assert bench.client.replicas("minilm-batch") == 0
    await bench.reconcile(_reported(batch={}), NGINX)
    assert bench.client.replicas("minilm-batch") == 1
    assert bench.client.handed_over == [("minilm-batch", 1)]


async def test_a_stopped_model_stays_stopped() -> None:
    bench = Bench()
    for version in (1, 2):
        await bench.reconcile(_reported(version=version, replicas=0))
    assert bench.client.replicas("minilm") == 0
    assert bench.client.handed_over == []


async def test_a_route_is_deleted_when_an_older_model_claims_its_place() -> None:
    bench = Bench()
    route = {"default": True, "host": "h.example"}
    younger = _reported("younger", created="2026-02-01T00:00:00Z", route=route)
    await bench.reconcile(younger)
    assert (INGRESS, "younger") in bench.client.objects
    await bench.reconcile(_reported("older", route=route))
    await bench.reconcile(younger)
    assert (INGRESS, "older") in bench.client.objects
    assert (INGRESS, "younger") not in bench.client.objects
    status = bench.client.objects[MODEL_DEPLOYMENT, "younger"]["status"]
    assert status["url"] == "http://younger.models.svc"


@pytest.mark.parametrize("leaves_by", ["deletion", "another host"])
async def test_a_younger_claimant_gets_its_route_when_the_older_one_leaves(leaves_by: str) -> None:
    route = {"default": True, "host": "h.example"}
    older = _reported("older", route=route)
    younger = _reported("younger", created="2026-02-01T00:00:00Z", route=route)
    client = FakeClient(older, younger)
    controller = Controller(client, operator_settings())
    async with controller.running():
        await _wait_for(lambda: "status" in client.objects[MODEL_DEPLOYMENT, "younger"])
        assert (INGRESS, "younger") not in client.objects
        if leaves_by == "deletion":
            del client.objects[MODEL_DEPLOYMENT, "older"]
            controller.on_model_deployment({"type": "DELETED", "object": older})
        else:
            moved = _reported("older", version=2, route={**route, "host": "other.example"})
            controller.on_model_deployment({"type": "MODIFIED", "object": moved})
        await _wait_for(lambda: (INGRESS, "younger") in client.objects)


async def test_a_newer_spec_in_the_response_to_a_status_write_is_not_lost() -> None:
    bench = Bench()
    newer = _reported(version=2, replicas=3)
    both = copy.deepcopy(newer)
    both["metadata"]["resourceVersion"] = "3"

    async def write_status(namespace: str, name: str, status: Object) -> Object:
        both["status"] = status
        return both

    bench.client.write_status = write_status  # type: ignore[method-assign]
    await bench.reconcile(_reported())
    assert any([bench.deployments.put(newer), bench.deployments.put(both)])
