"""Tells a model which items of its batch nobody waits for any more, while it computes them.

The engine process registers where to look; models ask before they begin with an item. Elsewhere,
such as in tests of models, no item is ever dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from slipway_core.errors import DeadlineExceeded
from slipway_core.inputs.items import Item, ItemFailure, Outcome

DROPPED = ItemFailure(DeadlineExceeded.__name__, "nobody waits for this prediction any more")

_is_dropped: ContextVar[Callable[[Item], bool]] = ContextVar("is_dropped", default=lambda _: False)


def register_dropped_items(is_dropped: Callable[[Item], bool]) -> None:
    """Let `is_dropped` decide for the calling thread. Each lane of an engine has its own batch."""
    _is_dropped.set(is_dropped)


def is_dropped(item: Item) -> bool:
    """Return whether nobody waits for the item any more: its outcome may then be DROPPED."""
    return _is_dropped.get()(item)


def was_computed(outcome: Outcome) -> bool:
    """Return whether the outcome is other than DROPPED."""
    return outcome.failure is None or outcome.failure.code != DROPPED.code
