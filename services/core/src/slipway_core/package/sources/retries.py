"""Tries a download again after failures that may pass."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from slipway_core.errors import ModelDownloadFailed
from slipway_core.package.limits import Limits

LONGEST_PAUSE_SECONDS = 30.0

log = structlog.get_logger("slipway.package")
T = TypeVar("T")


def with_retries(
    attempt: Callable[[], T], *, progress: Callable[[], int], limits: Limits, shown: str
) -> T:
    """The result of `attempt`, called again after ModelDownloadFailed with growing pauses.

    `progress` says how many bytes have come so far: a try that brought more than any before it
    does not count as fruitless, so that a long download survives many cuts. Other errors pass.
    """
    deadline = time.monotonic() + limits.total_timeout_seconds
    most, fruitless = progress(), 0
    while True:
        try:
            return attempt()
        except ModelDownloadFailed as error:
            reached = progress()
            fruitless = 1 if reached > most else fruitless + 1
            most = max(most, reached)
            pause = min(LONGEST_PAUSE_SECONDS, limits.backoff_seconds * 2 ** (fruitless - 1))
            if fruitless >= limits.fruitless_tries or time.monotonic() + pause > deadline:
                raise
            log.warning("the download of the model is tried again", uri=shown, cause=error.message)
            time.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, no secret
