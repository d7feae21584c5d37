"""Children and pods of ModelDeployments, as the watches reported them.

Reading them here costs no request. The cache may lag behind the cluster: the next event or the
resync corrects a decision made on old data, because every reconciliation looks at everything.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from slipway_operator.api.v1alpha1.labels import MODEL_LABEL
from slipway_operator.cache.relist import Relist
from slipway_operator.kubernetes.kinds import POD, Kind
from slipway_operator.kubernetes.objects import Key, Object, key_of

VOLATILE_STATUS_FIELDS = frozenset({"currentMetrics", "lastActiveTime"})
"""Status fields that autoscalers write all the time and no condition depends on."""

Entry = tuple[Key, str]
"""The ModelDeployment that an object belongs to, and the name of the object."""


def owner_of(body: Object) -> Key:
    """Return the ModelDeployment in the labels of an object; its name is empty without one."""
    meta = body["metadata"]
    return Key(meta.get("namespace", ""), (meta.get("labels") or {}).get(MODEL_LABEL, ""))


class OwnedObjects:
    """Children and pods by ModelDeployment.

    They are stored as JSON, which takes a fifth of the memory of parsed objects.
    """

    def __init__(self) -> None:
        self._encoded: dict[Key, dict[tuple[Kind, str], bytes]] = defaultdict(dict)
        self._relists: dict[Kind, Relist[Entry]] = defaultdict(Relist)
        self._pod_owners: dict[Key, Key] = {}

    def put(self, kind: Kind, body: Object) -> bool:
        """Store an object. Return whether it changed."""
        owner, name = _entry_of(body)
        encoded = msgspec.json.encode(_trimmed(kind, body))
        has_changed = self._encoded[owner].get((kind, name)) != encoded
        self._encoded[owner][kind, name] = encoded
        self._relists[kind].record((owner, name))
        if kind == POD:
            self._pod_owners[key_of(body)] = owner
        return has_changed

    def drop(self, kind: Kind, body: Object) -> None:
        """Remove a deleted object."""
        self._drop(kind, _entry_of(body))

    def start_listing(self, kind: Kind) -> None:
        """Prepare for a full listing of a kind. Call this before the request."""
        self._relists[kind].start()

    def replace(self, kind: Kind, bodies: Iterable[Object]) -> None:
        """Replace the objects of a kind by a full listing."""
        cached = {
            (owner, name)
            for owner, objects in self._encoded.items()
            for each, name in objects
            if each == kind
        }
        listed = {_entry_of(body): body for body in bodies}
        stored, dropped = self._relists[kind].finish(cached, listed)
        for body in stored:
            self.put(kind, body)
        for entry in dropped:
            self._drop(kind, entry)

    def get(self, owner: Key, kind: Kind, name: str) -> Object | None:
        """Return an object, None when it is not cached."""
        encoded = self.encoded(owner, kind, name)
        return None if encoded is None else msgspec.json.decode(encoded)

    def encoded(self, owner: Key, kind: Kind, name: str) -> bytes | None:
        """Return an object as it is stored, to see later whether it has changed."""
        return self._encoded.get(owner, {}).get((kind, name))

    def of_kind(self, owner: Key, kind: Kind) -> list[Object]:
        """Return the objects of a kind that belong to a ModelDeployment."""
        return [
            msgspec.json.decode(encoded)
            for (each, _), encoded in self._encoded.get(owner, {}).items()
            if each == kind
        ]

    def names(self, owner: Key) -> list[tuple[Kind, str]]:
        """Return kind and name of everything that belongs to a ModelDeployment."""
        return list(self._encoded.get(owner, {}))

    def pod_owner(self, pod: Key) -> Key | None:
        """Return the ModelDeployment that a pod belongs to, None for a foreign pod."""
        return self._pod_owners.get(pod)

    def count_by_kind(self) -> Counter[Kind]:
        """Return the number of cached objects of each kind."""
        return Counter(kind for objects in self._encoded.values() for kind, _ in objects)

    def _drop(self, kind: Kind, entry: Entry) -> None:
        owner, name = entry
        self._relists[kind].record(entry)
        objects = self._encoded.get(owner)
        if objects is not None:
            objects.pop((kind, name), None)
            if not objects:
                del self._encoded[owner]
        if kind == POD:
            self._pod_owners.pop(Key(owner.namespace, name), None)


def _entry_of(body: Object) -> Entry:
    return owner_of(body), body["metadata"]["name"]


def _trimmed(kind: Kind, body: Object) -> Object:
    omitted = {"managedFields", "resourceVersion"}
    meta = {name: value for name, value in body["metadata"].items() if name not in omitted}
    trimmed = {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    if VOLATILE_STATUS_FIELDS & set(body.get("status") or {}):
        status = body["status"].items()
        trimmed["status"] = {k: v for k, v in status if k not in VOLATILE_STATUS_FIELDS}
    return trimmed
