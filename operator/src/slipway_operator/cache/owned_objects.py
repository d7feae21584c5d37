"""What the cluster has, as the watches told it: objects of ModelDeployments, kept small.

Reading them here costs no request, so that one change among a thousand ModelDeployments is one
reconciliation. It may lag behind the cluster by a moment: the next event, or the resync, corrects
whatever was decided on an older picture, because every reconciliation looks at everything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from slipway_operator.api.v1alpha1.labels import MODEL_LABEL
from slipway_operator.kubernetes.kinds import POD, Kind

Object = dict[str, Any]

VOLATILE_STATUS_FIELDS = frozenset({"currentMetrics", "lastActiveTime"})
"""Parts of a status that autoscalers write all the time and no condition depends on."""


class Key(NamedTuple):
    """Names one ModelDeployment."""

    namespace: str
    name: str


def key_of(body: Object) -> Key:
    """The ModelDeployment that a child or a pod says it belongs to; an empty name if none."""
    meta = body["metadata"]
    return Key(meta.get("namespace", ""), (meta.get("labels") or {}).get(MODEL_LABEL, ""))


class OwnedObjects:
    """Children and pods by ModelDeployment. They are kept encoded: parsed, they would take five
    times the memory.
    """

    def __init__(self) -> None:
        self._encoded: dict[Key, dict[tuple[Kind, str], bytes]] = defaultdict(dict)
        self._touched: dict[Kind, set[tuple[Key, str]]] = {}
        self._pods: dict[tuple[str, str], Key] = {}

    def put(self, kind: Kind, body: Object) -> bool:
        """Remember an object; says whether that is news."""
        key = key_of(body)
        name = body["metadata"]["name"]
        encoded = msgspec.json.encode(_slim(kind, body))
        is_news = self._encoded[key].get((kind, name)) != encoded
        self._encoded[key][kind, name] = encoded
        self._touch(kind, key, name)
        if kind == POD:
            self._pods[key.namespace, name] = key
        return is_news

    def drop(self, kind: Kind, body: Object) -> None:
        """Forget an object that is gone."""
        key, name = key_of(body), body["metadata"]["name"]
        self._touch(kind, key, name)
        objects = self._encoded.get(key)
        if objects is not None:
            objects.pop((kind, name), None)
            if not objects:
                del self._encoded[key]
        if kind == POD:
            self._pods.pop((key.namespace, name), None)

    def start_listing(self, kind: Kind) -> None:
        """A full listing begins: what the watch says from here on is newer than the listing."""
        self._touched[kind] = set()

    def replace(self, kind: Kind, bodies: Iterable[Object]) -> None:
        """Take a full listing of one kind as the truth."""
        touched = self._touched.pop(kind, set())
        before = {
            (key, name)
            for key, objects in self._encoded.items()
            for each, name in objects
            if each == kind
        }
        listed = set()
        for body in bodies:
            place = (key_of(body), body["metadata"]["name"])
            listed.add(place)
            if place not in touched:
                self.put(kind, body)
        for key, name in before - listed - touched:
            self.drop(kind, _named(key, name))

    def owner_of_pod(self, namespace: str, name: str) -> Key | None:
        """The ModelDeployment that a pod belongs to, or None when it is none of ours."""
        return self._pods.get((namespace, name))

    def get(self, key: Key, kind: Kind, name: str) -> Object | None:
        """One object, or None when the cluster does not have it as far as is known."""
        encoded = self._encoded.get(key, {}).get((kind, name))
        return None if encoded is None else msgspec.json.decode(encoded)

    def of(self, key: Key, kind: Kind) -> list[Object]:
        """The objects of one kind of a ModelDeployment."""
        return [
            msgspec.json.decode(encoded)
            for (each, _), encoded in self._encoded.get(key, {}).items()
            if each == kind
        ]

    def mark(self, key: Key, kind: Kind, name: str) -> bytes | None:
        """Stands for what is known of an object now; another one for anything else."""
        return self._encoded.get(key, {}).get((kind, name))

    def names(self, key: Key) -> list[tuple[Kind, str]]:
        """What is known of a ModelDeployment, by kind and name."""
        return list(self._encoded.get(key, {}))

    def _touch(self, kind: Kind, key: Key, name: str) -> None:
        if kind in self._touched:
            self._touched[kind].add((key, name))

    def count(self) -> dict[Kind, int]:
        """How many objects of each kind are known."""
        counts: dict[Kind, int] = defaultdict(int)
        for objects in self._encoded.values():
            for kind, _ in objects:
                counts[kind] += 1
        return dict(counts)


def _slim(kind: Kind, body: Object) -> Object:
    left_out = {"managedFields", "resourceVersion"}
    meta = {name: value for name, value in body["metadata"].items() if name not in left_out}
    slim = {**body, "apiVersion": kind.api_version, "kind": kind.kind, "metadata": meta}
    if VOLATILE_STATUS_FIELDS & set(body.get("status") or {}):
        slim["status"] = {
            k: v for k, v in body["status"].items() if k not in VOLATILE_STATUS_FIELDS
        }
    return slim


def _named(key: Key, name: str) -> Object:
    return {
        "metadata": {
            "namespace": key.namespace,
            "name": name,
            "labels": {MODEL_LABEL: key.name},
        }
    }
