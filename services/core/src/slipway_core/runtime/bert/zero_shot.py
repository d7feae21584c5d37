"""Classification without training: the label whose vector lies closest to the text's."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

MOST_LABELS_KEPT = 4096


class LabelVectors:
    """The vectors of labels seen lately, of length 1. Least recently used ones are dropped."""

    def __init__(self, most: int = MOST_LABELS_KEPT) -> None:
        self._most = most
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def missing(self, labels: Iterable[str]) -> list[str]:
        """The labels without a vector, each once."""
        return [label for label in dict.fromkeys(labels) if label not in self._vectors]

    def add(self, label: str, vector: Vector) -> None:
        """Keep the label's vector; `forget_oldest` drops what is too much."""
        self._vectors[label] = _unit(vector)

    def matrix(self, labels: Sequence[str]) -> Vector:
        """The vectors of labels that are kept, [labels, width]."""
        for label in labels:
            self._vectors.move_to_end(label)
        return np.stack([self._vectors[label] for label in labels])

    def forget_oldest(self) -> None:
        """Drop all but the most recently used; called when no batch needs them."""
        while len(self._vectors) > self._most:
            self._vectors.popitem(last=False)


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
