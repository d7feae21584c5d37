"""Rounds of work in the background: a failure is logged, and the next round tries again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from slipway_core.errors import SlipwayError
from slipway_core.tasks import is_being_cancelled


async def run_round(
    work: Callable[[], Awaitable[object]], log: Any, *, waits: str, fails: str
) -> None:
    """Do the work, or log why not: with the event `waits` for an error that users see, such as
    stores that are away, and with `fails` for any other.
    """
    try:
        await work()
    except SlipwayError as error:
        log.warning(waits, code=error.code, cause=error.message)
    except Exception as error:
        if is_being_cancelled():  # the driver's error for a statement that it cancelled
            raise asyncio.CancelledError from error
        log.exception(fails, code="InternalError")
