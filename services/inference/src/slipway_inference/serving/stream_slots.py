"""Slots for requests that stay open: uploads, results and progress, each with its own number."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

from starlette.types import Scope

from slipway_core.errors import TooManyStreams
from slipway_inference.http.caller import caller_of
from slipway_inference.settings import InferenceSettings

RETRY_AFTER_SECONDS = 5


class Stream(StrEnum):
    """Kinds of streams, as error messages name them."""

    UPLOAD = "uploads"
    RESULTS = "result streams"
    PROGRESS = "progress streams"


class StreamSlots:
    """The streams of a process. Each kind has slots of its own, so that idle ones of one kind keep
    none of another out, and no caller gets all of a kind.
    """

    def __init__(self, settings: InferenceSettings) -> None:
        self._max_streams = settings.max_streams
        self._max_per_caller = min(settings.max_streams_per_caller, settings.max_streams)
        self._trusted_proxies = settings.trusted_networks
        self._held: list[tuple[Stream, str, asyncio.Task[Any]]] = []

    @contextmanager
    def hold(self, stream: Stream, scope: Scope) -> Iterator[None]:
        """Hold a slot for the request of `scope`. Raises TooManyStreams."""
        caller = caller_of(scope, self._trusted_proxies)
        callers = [holder for kind, holder, _ in self._held if kind is stream]
        if callers.count(caller) >= self._max_per_caller:
            raise _too_many(f"your address has {self._max_per_caller} open {stream}")
        if len(callers) >= self._max_streams:
            raise _too_many(f"{self._max_streams} {stream} are open")
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - coroutines run in tasks
        slot = (stream, caller, task)
        self._held.append(slot)
        try:
            yield
        finally:
            self._held.remove(slot)

    def cancel_all(self) -> None:
        """Cancel the requests that hold a slot."""
        for _, _, task in self._held:
            task.cancel()


def _too_many(fact: str) -> TooManyStreams:
    return TooManyStreams(
        f"{fact} and no more are allowed; try again soon", retry_after_seconds=RETRY_AFTER_SECONDS
    )
