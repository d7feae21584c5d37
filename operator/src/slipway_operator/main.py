"""Starts the operator: settings, CRD, controller, probes, watches."""

from __future__ import annotations

import asyncio
import logging
import sys

import kopf
from pydantic import ValidationError

from slipway_operator.configuration import OperatorSettings
from slipway_operator.control.controller import Controller
from slipway_operator.control.crd_installation import install_crd
from slipway_operator.control.watches import register, select
from slipway_operator.http_port import serving
from slipway_operator.kubernetes.client import Client, Rejected, Unavailable

log = logging.getLogger(__name__)


def main() -> None:
    """Run until SIGTERM. The exit status: 0, 1 when the cluster does not let the operator start, 2
    when a setting is wrong.
    """
    try:
        settings = OperatorSettings()
    except ValidationError as error:
        sys.stderr.write(_wrong_settings(error))
        sys.exit(2)
    kopf.configure(log_format=kopf.LogFormat.JSON)
    logging.getLogger().setLevel(settings.log_level.upper())
    for chatty in ("httpx2", "httpcore2", "aiohttp.access", "kopf.objects"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        asyncio.run(operate(settings))
    except (Unavailable, Rejected) as error:
        log.error("the operator cannot start: %s", error)
        sys.exit(1)


def _wrong_settings(error: ValidationError) -> str:
    prefix = str(OperatorSettings.model_config["env_prefix"])
    return "".join(
        f"{prefix}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}\n"
        for problem in error.errors()
    )


async def operate(settings: OperatorSettings, stop: asyncio.Event | None = None) -> None:
    """Operate until SIGTERM or `stop`; raises Unavailable or Rejected when it cannot start."""
    async with Client(settings.namespaces) as client:
        await install_crd(client)
        controller = Controller(client, settings)
        async with controller.running(), serving(controller, settings.port):
            while await _watch(controller, settings, stop or asyncio.Event()):
                log.info("watching anew: the cluster has other kinds of objects than before")


async def _watch(controller: Controller, settings: OperatorSettings, stop: asyncio.Event) -> bool:
    """Watch until SIGTERM or `stop`, or until the cluster has other kinds than it had: then it
    returns True, to be called again.
    """
    ended = asyncio.Event()
    kinds_changed = controller.kinds_changed
    kinds_changed.clear()
    registry = kopf.OperatorRegistry()
    register(registry, controller)
    relays = [asyncio.create_task(_pass_on(each, ended)) for each in (stop, kinds_changed)]
    try:
        await kopf.operator(
            registry=registry,
            settings=watch_settings(),
            standalone=True,
            clusterwide=not settings.namespaces,
            namespaces=settings.namespaces,
            stop_flag=ended,
        )
    finally:
        for relay in relays:
            relay.cancel()
    return kinds_changed.is_set() and not stop.is_set()


async def _pass_on(happened: asyncio.Event, to: asyncio.Event) -> None:
    await happened.wait()
    to.set()


def watch_settings() -> kopf.OperatorSettings:
    """How kopf watches: streams end now and then, so that a dead one is noticed."""
    settings = kopf.OperatorSettings()
    # To look for kinds and namespaces itself, kopf needs rights on the whole cluster.
    settings.scanning.disabled = True
    settings.posting.enabled = False
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 310
    settings.watching.connect_timeout = 30
    settings.networking.request_timeout = 30
    select(settings)
    return settings


if __name__ == "__main__":
    main()
