"""A batch that waits for an engine or is computed by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from slipway_core.inputs.items import Item, Outcome


class RunningBatch(msgspec.Struct, frozen=True):
    """A batch in flight, and the future that its caller holds."""

    items: Sequence[Item]
    frame: bytearray
    all_cores: bool
    is_wanted: Callable[[], bool]
    is_last_attempt: bool
    outcomes: asyncio.Future[list[Outcome]]

    @property
    def is_abandoned(self) -> bool:
        """Whether no caller waits for it any more."""
        return self.outcomes.done() or not self.is_wanted()

    def settle(self, task: asyncio.Task[list[Outcome]]) -> None:
        """Pass the result of the task on to the caller."""
        if self.outcomes.done():
            return
        if task.cancelled():
            self.outcomes.cancel()
        elif (error := task.exception()) is not None:
            self.outcomes.set_exception(error)
        else:
            self.outcomes.set_result(task.result())
