"""Predictions as JSON: vectors stay arrays of float32, written with their shortest digits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

_OPTIONS = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


def prediction_value(prediction: Mapping[str, Any] | None, embedding: bytes) -> dict[str, Any]:
    """The JSON object of one prediction, ready for `dump_json`."""
    value = dict(prediction or {})
    if embedding:
        value["embedding"] = np.frombuffer(embedding, dtype="<f4")
    return value


def dump_json(value: Any) -> bytes:
    """JSON in UTF-8; NaN and infinity, which JSON has no form for, become null."""
    return orjson.dumps(value, option=_OPTIONS, default=str)
