"""The ModelDeployments that exist, as the watch told it, and who claims which route."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.cache.owned_objects import Key
from slipway_operator.configuration import Platform
from slipway_operator.desired.names import model_path
from slipway_operator.observed.finding import condition

Object = dict[str, Any]
Place = tuple[str, str]
"""A host and a path on it; an empty host is any."""


class ModelDeployments:
    """All ModelDeployments by key, kept encoded, with an index of the places they answer at."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._encoded: dict[Key, bytes] = {}
        self._ready: dict[Key, tuple[str, str]] = {}
        self._age: dict[Key, tuple[str, str, str]] = {}
        self._places: dict[Key, frozenset[Place]] = {}
        self._claims: dict[Place, set[Key]] = defaultdict(set)
        self._versions: dict[Key, int] = {}
        self._touched: set[Key] | None = None

    def put(self, body: Object) -> bool:
        """Remember a ModelDeployment; says whether that is news. An older state than the known one
        is none: it comes when the watch lags behind the operator's own writes.
        """
        meta = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        key, version = Key(meta["namespace"], meta["name"]), _version(meta)
        if version < self._versions.get(key, 0):
            return False
        encoded = msgspec.json.encode({**body, "metadata": meta})
        is_news = self._encoded.get(key) != encoded
        self._touch(key)
        self._encoded[key], self._versions[key] = encoded, version
        self._age[key] = (meta.get("creationTimestamp", ""), *key)
        self._ready[key] = _ready_of(body)
        self._claim(key, self._places_of(body))
        return is_news

    def drop(self, key: Key) -> None:
        """Forget a ModelDeployment that is gone."""
        self._touch(key)
        self._claim(key, frozenset())
        for index in (self._encoded, self._ready, self._age, self._places, self._versions):
            index.pop(key, None)

    def get(self, key: Key) -> Object | None:
        """The ModelDeployment, or None when it does not exist as far as is known."""
        encoded = self._encoded.get(key)
        return None if encoded is None else msgspec.json.decode(encoded)

    def keys(self) -> list[Key]:
        """All of them."""
        return list(self._encoded)

    def start_listing(self) -> None:
        """A full listing begins: what the watch says from here on is newer than the listing."""
        self._touched = set()

    def replace(self, bodies: Iterable[Object]) -> None:
        """Take a full listing as the truth."""
        touched, self._touched = self._touched or set(), None
        before, listed = set(self._encoded), set()
        for body in bodies:
            key = Key(body["metadata"]["namespace"], body["metadata"]["name"])
            listed.add(key)
            if key not in touched:
                self.put(body)
        for key in before - listed - touched:
            self.drop(key)

    def other_claimants(self, key: Key) -> set[Key]:
        """Others that claim a place which this one claims too."""
        places = self._places.get(key, frozenset())
        return {other for place in places for other in self._claims[place]} - {key}

    def older_claimant(self, key: Key) -> str:
        """The oldest of those if it is older, as namespace/name; empty when none is."""
        older = [
            self._age[other]
            for other in self.other_claimants(key)
            if self._age[other] < self._age[key]
        ]
        return "/".join(min(older)[1:]) if older else ""

    def count_by_ready(self) -> Counter[str]:
        """How many there are by the status of their condition Ready."""
        return Counter(status for status, _ in self._ready.values())

    def readiness(self) -> list[tuple[Key, bool]]:
        """Whether each is ready; those that are stopped on purpose are left out."""
        return [
            (key, status == "True")
            for key, (status, reason) in self._ready.items()
            if reason != Reason.STOPPED
        ]

    def _touch(self, key: Key) -> None:
        if self._touched is not None:
            self._touched.add(key)

    def _places_of(self, body: Object) -> frozenset[Place]:
        route = body.get("spec", {}).get("route", {})
        if not route.get("enabled", True) or self._platform.routing == "none":
            return frozenset()
        host = route.get("host") or self._platform.default_host
        places = {(host, model_path(body["metadata"]["name"]))}
        if route.get("default"):
            places.add((host, "/"))
        return frozenset(places)

    def _claim(self, key: Key, places: frozenset[Place]) -> None:
        for place in self._places.get(key, frozenset()) - places:
            self._claims[place].discard(key)
            if not self._claims[place]:
                del self._claims[place]
        for place in places:
            self._claims[place].add(key)
        self._places[key] = places


def _version(meta: Object) -> int:
    """resourceVersion as the growing number that it is; 0 for a server that counts otherwise."""
    text = str(meta.get("resourceVersion", ""))
    return int(text) if text.isdecimal() else 0


def _ready_of(body: Object) -> tuple[str, str]:
    """Status and reason of the condition Ready."""
    ready = condition(body, "Ready")
    return ready.get("status", "Unknown"), ready.get("reason", "")
