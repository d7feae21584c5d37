"""Looks after the store from here too, so that it is swept when no batch worker runs."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from slipway_core.errors import SlipwayError
from slipway_core.queue.contract import Doorbell
from slipway_inference.settings import InferenceSettings

if TYPE_CHECKING:
    from slipway_core.store.database import Database

log = structlog.get_logger("slipway.sweeper")

PAUSE_SECONDS = 10.0


async def keep_sweeping(
    database: Database, doorbell: Doorbell | None, settings: InferenceSettings
) -> None:
    """Sweep every ten seconds until cancelled; a lock keeps servers from doing it twice."""
    from slipway_core.sweeper import Sweeper  # it imports the database driver

    sweeper = Sweeper(database, doorbell, settings)
    while True:
        try:
            await sweeper.sweep()
        except SlipwayError as error:
            log.warning("sweeping waits", code=error.code, cause=error.message)
        except Exception:
            log.exception("sweeping failed", code="InternalError")
        await asyncio.sleep(PAUSE_SECONDS)
