"""Runs reconciliations: turns what the watches say into work, and does it with bounded concurrency.

kopf watches and this decides, because kopf's own handlers remember in annotations what they did and
look at one object alone; a reconciliation remembers nothing and looks at all objects.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import Any

from slipway_operator.cache.model_deployments import ModelDeployments
from slipway_operator.cache.mount_failures import MountFailures
from slipway_operator.cache.owned_objects import Key, OwnedObjects, key_of
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
from slipway_operator.control.served_versions import ServedVersions
from slipway_operator.control.work_queue import WorkQueue
from slipway_operator.kubernetes.client import Client, Rejected, Unavailable
from slipway_operator.kubernetes.discovery import discover, present_children
from slipway_operator.kubernetes.kinds import CHILDREN, MODEL_DEPLOYMENT, POD, Kind

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.1
"""One action of a user or a controller changes several objects: they are looked at together."""

STARTUP_RESYNC_SECONDS = (4.0, 15.0)
"""The watches begin some time after the first listing: none tells of what was deleted between."""

Event = dict[str, Any]


class Controller:
    """The operator's heart: fed by `saw_*`, alive inside `running`."""

    def __init__(self, client: Client, settings: OperatorSettings) -> None:
        self._client = client
        self._settings = settings
        self._deployments = ModelDeployments(settings)
        self._objects = OwnedObjects()
        self._mount_failures = MountFailures()
        self._queue = WorkQueue()
        self._served_versions = ServedVersions(learned=self._queue.add)
        self._reconciler = Reconciler(
            client,
            settings,
            self._deployments,
            self._objects,
            self._mount_failures,
            self._served_versions,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self.kinds_changed = asyncio.Event()
        """Set when KEDA and the like came or went, so that there is more or less to watch."""

    @property
    def is_healthy(self) -> bool:
        """Whether everything that must run runs."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    @property
    def children(self) -> tuple[Kind, ...]:
        """The kinds of children that the cluster can hold at the moment."""
        return present_children(self._reconciler.capabilities)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Learn what there is, then work until the end of the block."""
        self._reconciler.capabilities = await discover(self._client, self._settings)
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
            await self._served_versions.close()
            self._queue.close()

    def on_model_deployment(self, event: Event) -> None:
        """A ModelDeployment was created, changed or deleted."""
        body = event["object"]
        key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
        other_claimants = self._deployments.other_claimants(key)
        if event["type"] == "DELETED":
            self._deployments.drop(key)
            self._served_versions.drop(key)
        elif not self._deployments.put(body):
            return
        for claimant in other_claimants ^ self._deployments.other_claimants(key):
            self._queue.add(claimant)
        self._queue.add(key)

    def on_child(self, kind: Kind, event: Event) -> None:
        """A child or a pod was created, changed or deleted, perhaps by the operator itself."""
        body = event["object"]
        if event["type"] == "DELETED":
            self._objects.drop(kind, body)
        elif not self._objects.put(kind, body):
            return
        self._queue.add(key_of(body), DEBOUNCE_SECONDS)

    def on_mount_failure(self, event: Event) -> None:
        """The kubelet said that it cannot mount a volume."""
        if event["type"] == "DELETED":
            self._mount_failures.drop(event["object"])
            return
        key = self._objects.owner_of_pod(*self._mount_failures.put(event["object"]))
        if key is not None:
            self._queue.add(key, DEBOUNCE_SECONDS)

    def update_gauges(self) -> None:
        """Set the gauges to the present; called when they are read."""
        QUEUE_DEPTH.set(self._queue.depth)
        counts = self._objects.count()
        for kind in CHILDREN:
            MANAGED_OBJECTS.labels(kind.kind).set(counts.get(kind, 0))
        ready = self._deployments.count_by_ready()
        for status in ("True", "False", "Unknown"):
            MODEL_DEPLOYMENTS.labels(status).set(ready[status])
        # Anew each time, so that no series outlives its ModelDeployment.
        MODEL_DEPLOYMENT_READY.clear()
        for key, is_ready in self._deployments.readiness():
            MODEL_DEPLOYMENT_READY.labels(*key).set(is_ready)

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                with RECONCILE_SECONDS.time():
                    recheck = await self._reconciler.reconcile(key)
            except Unavailable as error:
                RECONCILE_ERRORS.labels("Unavailable").inc()
                log.warning("%s/%s: %s; it will be tried again", *key, error)
                self._queue.failed(key)
            except Exception:
                RECONCILE_ERRORS.labels("InternalError").inc()
                log.exception("%s/%s cannot be reconciled; it will be tried again", *key)
                self._queue.failed(key)
            else:
                self._queue.done(key)
                if recheck is not None:
                    self._queue.add(key, recheck)

    async def _resync(self) -> None:
        """Looks at everything now and then, should a watch ever have missed something."""
        for pause in chain(STARTUP_RESYNC_SECONDS, repeat(self._settings.resync_seconds)):
            for key in self._deployments.keys():  # noqa: SIM118 - not a dict
                self._queue.add(key, DEBOUNCE_SECONDS)
            await asyncio.sleep(pause)
            try:
                await self._list_everything()
            except (Unavailable, Rejected) as error:
                log.warning("the resync failed: %s; the watches go on", error)

    async def _rediscover(self) -> None:
        """Notices when KEDA, Prometheus or an ingress class comes or goes."""
        while True:
            await asyncio.sleep(self._settings.discovery_seconds)
            try:
                found = await discover(self._client, self._settings)
            except (Unavailable, Rejected) as error:
                log.warning("cannot see what the cluster has: %s", error)
                continue
            if found != self._reconciler.capabilities:
                log.info("the cluster now has %s", found)
                before, self._reconciler.capabilities = self.children, found
                if self.children != before:
                    self.kinds_changed.set()
                for key in self._deployments.keys():  # noqa: SIM118 - not a dict
                    self._queue.add(key)

    async def _list_everything(self) -> None:
        for kind in (*self.children, POD):
            self._objects.start_listing(kind)
            self._objects.replace(kind, [each async for each in self._client.list_managed(kind)])
        self._deployments.start_listing()
        listed = [each async for each in self._client.list_managed(MODEL_DEPLOYMENT)]
        self._deployments.replace(listed)
