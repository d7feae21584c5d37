"""Claims of ModelDeployments to the places where their routes serve."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from slipway_operator.kubernetes.objects import Key
from slipway_operator.policy.hosts import ANY_HOST, covering_hosts, covers

Place = tuple[str, str]
"""A host and a path prefix on it. An empty host is any host, an empty prefix the root."""


@dataclass(frozen=True)
class Claim:
    """The places of one ModelDeployment."""

    created: str
    """Creation timestamp of the ModelDeployment."""
    places: frozenset[Place]
    owns_host: bool = False
    """Whether the host is granted to the namespace by name."""


class RouteClaims:
    """Claims by ModelDeployment, and claimants by place. The oldest claimant of a place gets it."""

    def __init__(self) -> None:
        self._claims: dict[Key, Claim] = {}
        self._claimants: dict[Place, set[Key]] = defaultdict(set)
        self._hosts: dict[str, set[str]] = defaultdict(set)
        """Claimed hosts by prefix."""

    def put(self, key: Key, claim: Claim) -> None:
        """Replace the claim of a ModelDeployment."""
        self._withdraw(key, self._places(key) - claim.places)
        for place in claim.places:
            self._claimants[place].add(key)
            self._hosts[place[1]].add(place[0])
        self._claims[key] = claim

    def drop(self, key: Key) -> None:
        """Remove the claim of a deleted ModelDeployment."""
        self._withdraw(key, self._places(key))
        self._claims.pop(key, None)

    def other_claimants(self, key: Key) -> set[Key]:
        """Return the other ModelDeployments with routes for requests that this one's match."""
        places = {place for each in self._places(key) for place in self._overlapping(each)}
        return {other for place in places for other in self._claimants.get(place, ())} - {key}

    def older_claimant(self, key: Key) -> str:
        """Return the oldest ModelDeployment whose requests this one would take, as namespace/name.

        Return an empty string when there is none.
        """
        older = [
            age
            for other in self.other_claimants(key)
            if (age := self._age(other)) < self._age(key) and self._takes_requests(key, other)
        ]
        oldest = min(older, default=None)
        return "/".join(oldest[1]) if oldest is not None else ""

    def _takes_requests(self, key: Key, other: Key) -> bool:
        """Return whether a route would get requests that the other one gets now.

        An ingress controller prefers the exact host to a wildcard, and both to any host. Within a
        namespace that is what its owner wants, as with a host that the platform granted by name.
        """
        if not self._places(key).isdisjoint(self._places(other)):
            return True
        if key.namespace == other.namespace or self._claims[key].owns_host:
            return False
        return any(
            prefix == other_prefix and covers(other_host, host)
            for host, prefix in self._places(key)
            for other_host, other_prefix in self._places(other)
        )

    def _overlapping(self, place: Place) -> set[Place]:
        host, prefix = place
        hosts = set(covering_hosts(host))
        if host == ANY_HOST or host.startswith("*."):
            hosts |= {each for each in self._hosts.get(prefix, ()) if covers(host, each)}
        return {(each, prefix) for each in hosts}

    def _places(self, key: Key) -> frozenset[Place]:
        claim = self._claims.get(key)
        return claim.places if claim else frozenset()

    def _age(self, key: Key) -> tuple[str, Key]:
        return self._claims[key].created, key

    def _withdraw(self, key: Key, places: frozenset[Place]) -> None:
        for place in places:
            self._claimants[place].discard(key)
            if not self._claimants[place]:
                del self._claimants[place]
                self._hosts[place[1]].discard(place[0])
                if not self._hosts[place[1]]:
                    del self._hosts[place[1]]
