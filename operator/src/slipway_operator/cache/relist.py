"""Merging of a full listing with the watch events that arrive while it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from slipway_operator.kubernetes.objects import Object

Entry = TypeVar("Entry")


class Relist(Generic[Entry]):
    """The entries of one kind that changed since a listing was started.

    What the watch reports after that point is newer than the listing and takes precedence.
    """

    def __init__(self) -> None:
        self._changed: set[Entry] | None = None

    def start(self) -> None:
        """Start to record changes. Call this before the request for the listing."""
        self._changed = set()

    def record(self, entry: Entry) -> None:
        """Record that an entry was stored or dropped."""
        if self._changed is not None:
            self._changed.add(entry)

    def finish(
        self, cached: set[Entry], listed: Mapping[Entry, Object]
    ) -> tuple[list[Object], set[Entry]]:
        """Return the listed objects to store and the cached entries to drop."""
        changed, self._changed = self._changed or set(), None
        stored = [body for entry, body in listed.items() if entry not in changed]
        return stored, cached - listed.keys() - changed
