"""The controller: watch events become keys in a work queue, workers reconcile them.

kopf only watches. Its own handlers keep their progress in annotations and see one object at a time;
a reconciliation keeps nothing and looks at all objects of a ModelDeployment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat

from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import OwnedObjects, owner_of
from slipway_operator.configuration import OperatorSettings
from slipway_operator.control.metrics import (
    MANAGED_OBJECTS,
    MODEL_DEPLOYMENT_READY,
    MODEL_DEPLOYMENTS,
    QUEUE_DEPTH,
    RECONCILE_ERRORS,
    RECONCILE_SECONDS,
)
from slipway_operator.control.reconciler import Reconciler
from slipway_operator.control.server_reports import ServerReports
from slipway_operator.control.work_queue import WorkQueue
from slipway_operator.kubernetes.capabilities import Capabilities
from slipway_operator.kubernetes.client import Client, Rejected, Unavailable
from slipway_operator.kubernetes.discovery import discover
from slipway_operator.kubernetes.kinds import CHILDREN, MODEL_DEPLOYMENT, POD, Kind
from slipway_operator.kubernetes.objects import Object, key_of

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.1
"""Delay after an event, since one action of a user or controller changes several objects."""

STARTUP_RESYNC_SECONDS = (4.0, 15.0)
"""Pauses before the first two resyncs. The watches begin some time after the first listing and do
not report what was deleted in between.
"""

WatchEvent = Object
"""An event of a watch: its `type` (None in the initial listing) and the `object`."""


class Controller:
    """Runs reconciliations with bounded concurrency inside `running`."""

    def __init__(self, client: Client, settings: OperatorSettings) -> None:
        self._client = client
        self._settings = settings
        self._capabilities = Capabilities()
        self._deployments = ModelDeployments(settings)
        self._objects = OwnedObjects()
        self._mount_failures = MountFailures()
        self._queue = WorkQueue()
        self._server_reports = ServerReports(on_change=self._queue.add)
        self._reconciler = Reconciler(
            client,
            settings,
            self._deployments,
            self._objects,
            self._mount_failures,
            self._server_reports,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.kinds_changed = asyncio.Event()
        """Set when an optional kind was installed or removed, so that other kinds are watched."""

    @property
    def is_healthy(self) -> bool:
        """Whether all background tasks are running."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def child_kinds(self) -> tuple[Kind, ...]:
        """Kinds of children that the cluster can store now."""
        return self._capabilities.child_kinds

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """List all objects, then reconcile until the end of the block."""
        self._capabilities = await discover(self._client, self._settings)
        await self._list_everything()
        loops = [self._work() for _ in range(self._settings.concurrency)]
        self._tasks = [
            asyncio.create_task(loop) for loop in (*loops, self._resync(), self._rediscover())
        ]
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self._server_reports.close()
            self._queue.close()

    def on_model_deployment(self, event: WatchEvent) -> None:
        """Handle an event of a ModelDeployment."""
        body = event["object"]
        key = key_of(body)
        claims = self._deployments.route_claims
        claimants_before = claims.other_claimants(key)
        if event["type"] == "DELETED":
            self._deployments.drop(key)
            self._server_reports.drop(key)
        elif not self._deployments.put(body):
            return
        for claimant in claimants_before ^ claims.other_claimants(key):
            self._queue.add(claimant)
        self._queue.add(key)

    def on_child(self, kind: Kind, event: WatchEvent) -> None:
        """Handle an event of a child or a pod, possibly caused by the operator itself."""
        body = event["object"]
        if event["type"] == "DELETED":
            self._objects.drop(kind, body)
        elif not self._objects.put(kind, body):
            return
        self._queue.add(owner_of(body), DEBOUNCE_SECONDS)

    def on_mount_failure(self, event: WatchEvent) -> None:
        """Handle the kubelet's event about a volume that it cannot mount."""
        if event["type"] == "DELETED":
            self._mount_failures.drop(event["object"])
            return
        owner = self._objects.pod_owner(self._mount_failures.put(event["object"]))
        if owner is not None:
            self._queue.add(owner, DEBOUNCE_SECONDS)

    def update_gauges(self) -> None:
        """Set the gauges to current values. Call this before each scrape."""
        QUEUE_DEPTH.set(self._queue.depth)
        counts = self._objects.count_by_kind()
        for kind in CHILDREN:
            MANAGED_OBJECTS.labels(kind.kind).set(counts[kind])
        ready = self._deployments.count_by_ready()
        for status in ("True", "False", "Unknown"):
            MODEL_DEPLOYMENTS.labels(status).set(ready[status])
        # Cleared, so that no series outlives its ModelDeployment.
        MODEL_DEPLOYMENT_READY.clear()
        for key, is_ready in self._deployments.readiness():
            MODEL_DEPLOYMENT_READY.labels(*key).set(is_ready)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                with RECONCILE_SECONDS.time():
                    requeue_after = await self._reconciler.reconcile(key, self._capabilities)
            except Unavailable as error:
                RECONCILE_ERRORS.labels("Unavailable").inc()
                log.warning("%s/%s: %s; retrying later", *key, error)
                self._queue.failed(key)
            except Exception:
                RECONCILE_ERRORS.labels("InternalError").inc()
                log.exception("%s/%s cannot be reconciled; retrying later", *key)
                self._queue.failed(key)
            else:
                self._queue.done(key)
                if requeue_after is not None:
                    self._queue.add(key, requeue_after)

    async def _resync(self) -> None:
        """Reconcile everything at intervals, in case a watch missed an event."""
        for pause in chain(STARTUP_RESYNC_SECONDS, repeat(self._settings.resync_seconds)):
            self._add_all(DEBOUNCE_SECONDS)
            await asyncio.sleep(pause)
            try:
                await self._list_everything()
            except (Unavailable, Rejected) as error:
                log.warning("the resync failed: %s; the watches continue", error)

    async def _rediscover(self) -> None:
        """Notice when KEDA, Prometheus or an ingress class is installed or removed."""
        while True:
            await asyncio.sleep(self._settings.discovery_seconds)
            try:
                discovered = await discover(self._client, self._settings)
            except (Unavailable, Rejected) as error:
                log.warning("cannot discover the cluster's capabilities: %s", error)
                continue
            if discovered != self._capabilities:
                log.info("the cluster now has %s", discovered)
                if discovered.child_kinds != self.child_kinds:
                    self.kinds_changed.set()
                self._capabilities = discovered
                self._add_all()

    def _add_all(self, after_seconds: float = 0) -> None:
        for key in self._deployments.keys():  # noqa: SIM118 - not a dict
            self._queue.add(key, after_seconds)

    async def _list_everything(self) -> None:
        for kind in (*self.child_kinds, POD):
            self._objects.start_listing(kind)
            self._objects.replace(kind, [each async for each in self._client.list_managed(kind)])
        self._deployments.start_listing()
        listed = [each async for each in self._client.list_managed(MODEL_DEPLOYMENT)]
        self._deployments.replace(listed)
