"""kopf's watches: each tells the controller what it saw, and nothing else.

Only `on.event`: such handlers leave no annotation, need no finalizer and see every change.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import kopf

from slipway_operator.api.v1alpha1.labels import MANAGED_SELECTOR
from slipway_operator.cache.mount_failures import EVENT_SELECTOR
from slipway_operator.control.controller import Controller
from slipway_operator.kubernetes.kinds import CHILDREN, EVENT, MODEL_DEPLOYMENT, POD, Kind


def register(registry: kopf.OperatorRegistry, controller: Controller) -> None:
    """Watch ModelDeployments, what they own, their pods, and volumes that cannot be mounted; of the
    kinds that a cluster may lack, those that it has now.
    """
    kopf.on.login(registry=registry)(_login)
    _watch(registry, MODEL_DEPLOYMENT, partial(_model_deployment, controller))
    for kind in (*controller.children, POD):
        _watch(registry, kind, partial(_child, controller, kind))
    _watch(registry, EVENT, partial(_mount_failure, controller))


def select(settings: kopf.OperatorSettings) -> None:
    """Let the API server send only what concerns the operator."""
    for kind in (*CHILDREN, POD):
        settings.watching.label_selectors[kind.group, kind.version, kind.plural] = MANAGED_SELECTOR
    events = (EVENT.group, EVENT.version, EVENT.plural)
    settings.watching.field_selectors[events] = EVENT_SELECTOR


def _watch(registry: kopf.OperatorRegistry, kind: Kind, handler: Any) -> None:
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
    """The pod's service account, else KUBECONFIG: what lightkube takes too."""
    return kopf.login_with_service_account(**context) or kopf.login_with_kubeconfig(**context)
