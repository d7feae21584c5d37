"""Reads, while a batch is computed, which of its items the server has dropped.

The server sends nothing else before the batch is done, so whatever has arrived on the connection
concerns this batch.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from slipway_core.engines import messages
from slipway_core.engines.messages import Drop
from slipway_core.inputs.items import Item

LOOK_SECONDS = 0.001
"""The time between two looks at the connection. A look is a call of the kernel, which would cost
more than preparing a short text.
"""


class DroppedItems:
    """The dropped items of the batch that one thread computes."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._items: Sequence[Item] = ()
        self._dropped: set[int] = set()  # identities: a failed batch is run again in parts
        self._next_look = 0.0

    def begin(self, items: Sequence[Item]) -> None:
        """Start a batch, of which nothing is dropped yet."""
        self._items = items
        self._dropped.clear()
        self._next_look = time.monotonic() + LOOK_SECONDS

    def __call__(self, item: Item) -> bool:
        """Return whether the item of this batch is dropped. All are when the server has gone."""
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + LOOK_SECONDS
        return id(item) in self._dropped

    def _look(self) -> None:
        while self._poll.poll(0):
            message = messages.receive_to_engine(self._connection)
            if not isinstance(message, Drop):
                self._dropped.update(map(id, self._items))
                return
            self._dropped.update(id(self._items[index]) for index in message.indices)
