"""Claims of ModelDeployments to the places where their routes serve."""

from __future__ import annotations

from collections import defaultdict

from slipway_operator.kubernetes.objects import Key

Place = tuple[str, str]
"""A host and a path prefix on it. An empty host is any host, an empty prefix the root."""


class RouteClaims:
    """Places by ModelDeployment and the reverse. The oldest claimant of a place gets it."""

    def __init__(self) -> None:
        self._created: dict[Key, str] = {}
        self._places: dict[Key, frozenset[Place]] = {}
        self._claimants: dict[Place, set[Key]] = defaultdict(set)

    def put(self, key: Key, created: str, places: frozenset[Place]) -> None:
        """Replace the claims of a ModelDeployment. `created` is its creation timestamp."""
        self._withdraw(key, self._places.get(key, frozenset()) - places)
        for place in places:
            self._claimants[place].add(key)
        self._created[key], self._places[key] = created, places

    def drop(self, key: Key) -> None:
        """Remove the claims of a deleted ModelDeployment."""
        self._withdraw(key, self._places.pop(key, frozenset()))
        self._created.pop(key, None)

    def other_claimants(self, key: Key) -> set[Key]:
        """Return the other ModelDeployments that claim a place of this one."""
        places = self._places.get(key, frozenset())
        return {other for place in places for other in self._claimants[place]} - {key}

    def older_claimant(self, key: Key) -> str:
        """Return the oldest of the other claimants as namespace/name; empty when none is older."""
        ages = [self._age(other) for other in self.other_claimants(key)]
        oldest = min(ages, default=None)
        return "/".join(oldest[1]) if oldest is not None and oldest < self._age(key) else ""

    def _age(self, key: Key) -> tuple[str, Key]:
        return self._created[key], key

    def _withdraw(self, key: Key, places: frozenset[Place]) -> None:
        for place in places:
            self._claimants[place].discard(key)
            if not self._claimants[place]:
                del self._claimants[place]
