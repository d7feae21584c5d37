"""Classification without training: the label whose vector lies closest to the text's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

MOST_LABELS_KEPT = 4096


class LabelVectors:
    """The vectors of labels seen lately, of length 1, for several threads. Least recently used ones
    are dropped.
    """

    def __init__(self, most: int = MOST_LABELS_KEPT) -> None:
        self._most = most
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._lock = Lock()

    def known(self, labels: Iterable[str]) -> dict[str, Vector]:
        """Of these labels, those that have a vector."""
        with self._lock:
            found = {label: self._vectors[label] for label in labels if label in self._vectors}
            for label in found:
                self._vectors.move_to_end(label)
        return found

    def keep(self, labels: Sequence[str], vectors: Iterable[Vector]) -> dict[str, Vector]:
        """The vectors by label, of length 1; the next `known` has them too."""
        units = {label: _unit(vector) for label, vector in zip(labels, vectors, strict=True)}
        with self._lock:
            self._vectors.update(units)
            while len(self._vectors) > self._most:
                self._vectors.popitem(last=False)
        return units


def classify_by_cosine(vector: Vector, labels: Sequence[str], matrix: Vector) -> dict[str, Any]:
    """The prediction: the best label, its score, and the cosine of every label."""
    cosines = matrix @ _unit(vector)
    return scored(labels, cosines)


def scored(labels: Sequence[str], scores: Vector) -> dict[str, Any]:
    """The form in which every classifier answers."""
    best = int(scores.argmax())
    values = scores.tolist()
    return {
        "label": labels[best],
        "score": values[best],
        "scores": dict(zip(labels, values, strict=True)),
    }


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector
