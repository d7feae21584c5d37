"""Watches by kopf: each passes its events to the controller and does nothing else.

All handlers are `on.event`: they write no annotation, need no finalizer and see every change.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import kopf

from slipway_operator.api.v1alpha1.labels import MANAGED_SELECTOR
from slipway_operator.cache.mount_failures import EVENT_SELECTOR
from slipway_operator.control.controller import Controller
from slipway_operator.kubernetes.kinds import CHILDREN, EVENT, MODEL_DEPLOYMENT, POD, Kind

SERVER_TIMEOUT_SECONDS = 300
"""Time after which a watch is opened anew, so that a dead connection is noticed."""


async def watch(controller: Controller, namespaces: tuple[str, ...], stop: asyncio.Event) -> bool:
    """Watch until SIGTERM or `stop`, or until the cluster gains or loses a kind to watch.

    Return whether the caller has to watch again because the kinds changed. An empty `namespaces`
    means all.
    """
    ended = asyncio.Event()
    kinds_changed = controller.kinds_changed
    kinds_changed.clear()
    registry = kopf.OperatorRegistry()
    _register(registry, controller)
    relays = [asyncio.create_task(_relay(each, ended)) for each in (stop, kinds_changed)]
    try:
        await kopf.operator(
            registry=registry,
            settings=_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            stop_flag=ended,
        )
    finally:
        for relay in relays:
            relay.cancel()
    return kinds_changed.is_set() and not stop.is_set()


async def _relay(source: asyncio.Event, target: asyncio.Event) -> None:
    await source.wait()
    target.set()


def _register(registry: kopf.OperatorRegistry, controller: Controller) -> None:
    kopf.on.login(registry=registry)(_login)
    _on_event(registry, MODEL_DEPLOYMENT, partial(_model_deployment, controller))
    for kind in (*controller.child_kinds, POD):
        _on_event(registry, kind, partial(_child, controller, kind))
    _on_event(registry, EVENT, partial(_mount_failure, controller))


def _on_event(registry: kopf.OperatorRegistry, kind: Kind, handler: Any) -> None:
    decorate = kopf.on.event(
        kind.group, kind.version, kind.plural, registry=registry, id=kind.plural
    )
    decorate(handler)


async def _model_deployment(controller: Controller, event: Any, **_: Any) -> None:
    controller.on_model_deployment(event)


async def _child(controller: Controller, kind: Kind, event: Any, **_: Any) -> None:
    controller.on_child(kind, event)


async def _mount_failure(controller: Controller, event: Any, **_: Any) -> None:
    controller.on_mount_failure(event)


def _login(**context: Any) -> Any:
    """Use the pod's service account, or else KUBECONFIG, as lightkube does."""
    return kopf.login_with_service_account(**context) or kopf.login_with_kubeconfig(**context)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    # kopf's own discovery of kinds and namespaces needs rights on the whole cluster.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = SERVER_TIMEOUT_SECONDS
    settings.watching.client_timeout = SERVER_TIMEOUT_SECONDS + 10
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    for kind in (*CHILDREN, POD):
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = MANAGED_SELECTOR
    events = (EVENT.group, EVENT.version, EVENT.plural)
    settings.watching.field_selectors[events] = EVENT_SELECTOR
    return settings
