"""All ModelDeployments, as the watch reported them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from slipway_operator.api.v1alpha1.reasons import Reason
from slipway_operator.api.v1alpha1.route import Route
from slipway_operator.cache.relist import Relist
from slipway_operator.cache.route_claims import Claim, RouteClaims
from slipway_operator.configuration import Platform
from slipway_operator.kubernetes.objects import Key, Object, get_condition, key_of
from slipway_operator.plan import RoutePlan
from slipway_operator.policy.hosts import owns_host


class ModelDeployments:
    """ModelDeployments by key, stored as JSON, with an index of their route claims."""

    def __init__(self, platform: Platform) -> None:
        self.route_claims = RouteClaims()
        self._platform = platform
        self._encoded: dict[Key, bytes] = {}
        self._versions: dict[Key, int] = {}
        self._ready: dict[Key, tuple[str, str]] = {}
        self._relist: Relist[Key] = Relist()

    def put(self, body: Object) -> bool:
        """Store a ModelDeployment. Return whether it changed.

        A state older than the stored one is ignored: the watch lags behind the operator's writes.
        """
        meta = {name: value for name, value in body["metadata"].items() if name != "managedFields"}
        key, version = key_of(body), _resource_version(meta)
        if version < self._versions.get(key, 0):
            return False
        encoded = msgspec.json.encode({**body, "metadata": meta})
        has_changed = self._encoded.get(key) != encoded
        self._relist.record(key)
        self._encoded[key], self._versions[key] = encoded, version
        self._ready[key] = _ready_of(body)
        self.route_claims.put(key, self._claim_of(body))
        return has_changed

    def drop(self, key: Key) -> None:
        """Remove a deleted ModelDeployment."""
        self._relist.record(key)
        self.route_claims.drop(key)
        for index in (self._encoded, self._versions, self._ready):
            index.pop(key, None)

    def get(self, key: Key) -> Object | None:
        """Return a ModelDeployment, None when it is not cached."""
        encoded = self._encoded.get(key)
        return None if encoded is None else msgspec.json.decode(encoded)

    def keys(self) -> list[Key]:
        """Return the keys of all ModelDeployments."""
        return list(self._encoded)

    def start_listing(self) -> None:
        """Prepare for a full listing. Call this before the request."""
        self._relist.start()

    def replace(self, bodies: Iterable[Object]) -> None:
        """Replace all ModelDeployments by a full listing."""
        listed = {key_of(body): body for body in bodies}
        stored, dropped = self._relist.finish(set(self._encoded), listed)
        for body in stored:
            self.put(body)
        for key in dropped:
            self.drop(key)

    def count_by_ready(self) -> Counter[str]:
        """Return the number of ModelDeployments by the status of their condition Ready."""
        return Counter(status for status, _ in self._ready.values())

    def readiness(self) -> list[tuple[Key, bool]]:
        """Return whether each ModelDeployment is ready, except those that the user stopped."""
        return [
            (key, status == "True")
            for key, (status, reason) in self._ready.items()
            if reason != Reason.STOPPED
        ]

    def _claim_of(self, body: Object) -> Claim:
        # Not validated: a ModelDeployment that this operator cannot read keeps its route.
        route = Route.model_construct(**body.get("spec", {}).get("route", {}))
        key, created = key_of(body), body["metadata"].get("creationTimestamp", "")
        plan = RoutePlan.of(key.name, route, self._platform)
        if plan is None or not plan.is_granted_to(key.namespace, self._platform):
            return Claim(created, frozenset())
        return Claim(
            created,
            frozenset((plan.host, prefix) for prefix in plan.prefixes),
            owns_host(plan.host, key.namespace, self._platform.host_grants),
        )


def _resource_version(meta: Object) -> int:
    """Return the resource version as a number that grows; 0 when the API server has other ones."""
    text = str(meta.get("resourceVersion", ""))
    return int(text) if text.isdecimal() else 0


def _ready_of(body: Object) -> tuple[str, str]:
    """Return status and reason of the condition Ready."""
    ready = get_condition(body, "Ready")
    return ready.get("status", "Unknown"), ready.get("reason", "")
