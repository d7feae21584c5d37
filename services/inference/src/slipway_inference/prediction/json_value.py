"""Predictions as JSON values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def prediction_value(prediction: Mapping[str, Any] | None, embedding: bytes) -> dict[str, Any]:
    """Return the JSON object of one prediction, for `encode_json`. `embedding` is little-endian
    float32, or empty; it becomes an array [size].
    """
    value = dict(prediction or {})
    if embedding:
        value["embedding"] = np.frombuffer(embedding, dtype="<f4")
    return value
