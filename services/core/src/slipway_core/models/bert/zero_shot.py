"""Zero-shot classification: chooses the label whose embedding is closest to the text's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from slipway_core.models.classification import classification

Vector = npt.NDArray[np.float32]
"""The embedding of a text or a label, [width]."""

MAX_CACHED_LABELS = 4096
"""The labels whose embeddings an engine keeps, about 6 MB of them at a width of 384."""


class LabelVectorCache:
    """An LRU cache of the embeddings of labels, scaled to length 1. Thread-safe."""

    def __init__(self, max_labels: int = MAX_CACHED_LABELS) -> None:
        self._max_labels = max_labels
        self._vectors: OrderedDict[str, Vector] = OrderedDict()
        self._lock = Lock()

    def get(self, labels: Iterable[str]) -> dict[str, Vector]:
        """Return the vectors of those labels that are cached."""
        with self._lock:
            cached = {label: self._vectors[label] for label in labels if label in self._vectors}
            for label in cached:
                self._vectors.move_to_end(label)
        return cached

    def put(self, labels: Sequence[str], vectors: Iterable[Vector]) -> dict[str, Vector]:
        """Scale the vectors to length 1, cache them, and return them by label."""
        units = {label: _unit(vector) for label, vector in zip(labels, vectors, strict=True)}
        with self._lock:
            self._vectors.update(units)
            while len(self._vectors) > self._max_labels:
                self._vectors.popitem(last=False)
        return units


def classify_by_cosine(vector: Vector, labels: Sequence[str], matrix: Vector) -> dict[str, Any]:
    """Return a classification by cosine of `vector` [width] to `matrix` [labels, width]."""
    return classification(labels, (matrix @ _unit(vector)).tolist())


def _unit(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    return vector / np.float32(length) if length else vector
