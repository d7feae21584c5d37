"""Installation and update of the operator's own CRD, since Helm never updates a chart's `crds/`."""

from __future__ import annotations

import asyncio
import logging
import re

from slipway_operator import __version__
from slipway_operator.generate.crd import CRD_VERSION_ANNOTATION, build_crd
from slipway_operator.kubernetes.client import Client, Unavailable
from slipway_operator.kubernetes.kinds import CUSTOM_RESOURCE, MODEL_DEPLOYMENT
from slipway_operator.kubernetes.objects import get_condition

log = logging.getLogger(__name__)

ESTABLISH_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.2


async def install_crd(client: Client) -> None:
    """Apply the CRD unless the installed one is newer, and wait until the API server serves it.

    Raises Unavailable when that takes too long.
    """
    name = MODEL_DEPLOYMENT.crd_name
    installed = await client.get(CUSTOM_RESOURCE, "", name)
    annotations = (installed or {}).get("metadata", {}).get("annotations") or {}
    version = annotations.get(CRD_VERSION_ANNOTATION, "")
    if is_newer(version, __version__):
        log.info("the installed CRD has version %s, this operator %s", version, __version__)
        return
    await client.apply(CUSTOM_RESOURCE, build_crd())
    for _ in range(int(ESTABLISH_TIMEOUT_SECONDS / POLL_SECONDS)):
        live = await client.get(CUSTOM_RESOURCE, "", name) or {}
        if get_condition(live, "Established").get("status") == "True":
            return
        await asyncio.sleep(POLL_SECONDS)
    raise Unavailable(f"the API server does not serve {name} after {ESTABLISH_TIMEOUT_SECONDS} s")


def is_newer(version: str, other: str) -> bool:
    """Return whether `version` is higher than another. Text that is no version is the lowest."""
    return _numbers(version) > _numbers(other)


def _numbers(version: str) -> tuple[int, ...]:
    match = re.match(r"(\d+)\.(\d+)\.(\d+)", version)
    return tuple(int(part) for part in match.groups()) if match else ()
