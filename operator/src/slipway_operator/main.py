"""The operator's process: settings, logging, and the parts that run together."""

from __future__ import annotations

import asyncio
import logging
import sys

import kopf
from pydantic import ValidationError

from slipway_operator.configuration import OperatorSettings
from slipway_operator.control.controller import Controller
from slipway_operator.control.crd_installation import install_crd
from slipway_operator.control.watches import watch
from slipway_operator.http_port import serve_http
from slipway_operator.kubernetes.client import Client, Rejected, Unavailable

log = logging.getLogger(__name__)


def main() -> None:
    """Run until SIGTERM.

    Exit with status 1 when the cluster prevents the start, with 2 when a setting is invalid.
    """
    try:
        settings = OperatorSettings()
    except ValidationError as error:
        sys.stderr.write(_describe(error))
        sys.exit(2)
    kopf.configure(log_format=kopf.LogFormat.JSON)
    logging.getLogger().setLevel(settings.log_level.upper())
    for verbose in ("httpx2", "httpcore2", "aiohttp.access", "kopf.objects"):
        logging.getLogger(verbose).setLevel(logging.WARNING)
    try:
        asyncio.run(operate(settings))
    except (Unavailable, Rejected) as error:
        log.error("the operator cannot start: %s", error)
        sys.exit(1)


async def operate(settings: OperatorSettings, stop: asyncio.Event | None = None) -> None:
    """Run the operator until SIGTERM or `stop`.

    Raises Unavailable or Rejected when it cannot start.
    """
    stop = stop or asyncio.Event()
    async with Client(settings.namespaces) as client:
        await install_crd(client)
        controller = Controller(client, settings)
        async with controller.running(), serve_http(controller, settings.port):
            while await watch(controller, settings.namespaces, stop):
                log.info("restarting the watches: the cluster has other kinds than before")


def _describe(error: ValidationError) -> str:
    prefix = str(OperatorSettings.model_config["env_prefix"])
    return "".join(
        f"{prefix}{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}\n"
        for problem in error.errors()
    )
