"""Retries of downloads after temporary failures."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from slipway_core.errors import ModelDownloadFailed
from slipway_core.package.limits import Limits

MAX_PAUSE_SECONDS = 30.0

log = structlog.get_logger("slipway.package")
T = TypeVar("T")


def call_with_retries(
    attempt: Callable[[], T], *, progress: Callable[[], int], limits: Limits, shown: str
) -> T:
    """Call `attempt` until it succeeds, with growing pauses after each ModelDownloadFailed.

    `progress` returns the bytes received so far. An attempt that got further than all before it
    resets the count of failures, so that a long download survives many interruptions. Other errors
    are raised at once.
    """
    deadline = time.monotonic() + limits.total_timeout_seconds
    furthest, fruitless = progress(), 0
    while True:
        try:
            return attempt()
        except ModelDownloadFailed as error:
            reached = progress()
            fruitless = 1 if reached > furthest else fruitless + 1
            furthest = max(furthest, reached)
            pause = min(MAX_PAUSE_SECONDS, limits.backoff_seconds * 2 ** (fruitless - 1))
            if fruitless >= limits.max_fruitless_attempts or time.monotonic() + pause > deadline:
                raise
            log.warning("retrying the download of the model", uri=shown, cause=error.message)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, no secret
