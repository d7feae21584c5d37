"""Installs and updates the operator's own CRD: Helm never updates what lies in `crds/`."""

from __future__ import annotations

import asyncio
import logging
import re

from slipway_operator import __version__
from slipway_operator.generate.crd import CRD_NAME, VERSION_ANNOTATION, custom_resource_definition
from slipway_operator.kubernetes.client import Client, Unavailable
from slipway_operator.kubernetes.kinds import CUSTOM_RESOURCE
from slipway_operator.observed.finding import condition

log = logging.getLogger(__name__)

ESTABLISH_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.2


async def install_crd(client: Client) -> None:
    """Apply the CRD unless the installed one is newer, and wait until the API server serves it."""
    installed = await client.get(CUSTOM_RESOURCE, "", CRD_NAME)
    annotations = (installed or {}).get("metadata", {}).get("annotations") or {}
    version = annotations.get(VERSION_ANNOTATION, "")
    if is_newer(version, __version__):
        log.info("the installed CRD is of version %s, this operator of %s", version, __version__)
        return
    await client.apply(CUSTOM_RESOURCE, custom_resource_definition())
    for _ in range(int(ESTABLISH_TIMEOUT_SECONDS / POLL_SECONDS)):
        live = await client.get(CUSTOM_RESOURCE, "", CRD_NAME) or {}
        if condition(live, "Established").get("status") == "True":
            return
        await asyncio.sleep(POLL_SECONDS)
    raise Unavailable(
        f"the API server does not serve {CRD_NAME} after {ESTABLISH_TIMEOUT_SECONDS} s"
    )


def is_newer(version: str, than: str) -> bool:
    """Whether one version is higher than another; what is no version is not."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in match.groups()) if match else ()
