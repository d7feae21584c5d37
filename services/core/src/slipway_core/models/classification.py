"""The form of every classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def classification(labels: Sequence[str], scores: Sequence[float]) -> dict[str, Any]:
    """Return the prediction of a classifier: the best label, its score, and all scores by label."""
    score, label = max(zip(scores, labels, strict=True), key=lambda pair: pair[0])
    return {"label": label, "score": score, "scores": dict(zip(labels, scores, strict=True))}
