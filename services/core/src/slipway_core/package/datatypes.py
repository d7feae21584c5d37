"""The datatypes of tensors, and the values that each can hold."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

Datatype = Literal[
    "BOOL", "UINT8", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
"""The names of the Open Inference Protocol. BYTES are strings of any length."""

NUMPY_TYPES: dict[Datatype, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
}
"""The numeric datatypes as NumPy has them."""

INTEGER_RANGES: dict[Datatype, tuple[int, int]] = {
    name: (int(np.iinfo(kind).min), int(np.iinfo(kind).max))
    for name, kind in NUMPY_TYPES.items()
    if kind.kind in "iu"
}
"""The least and greatest value of each integer datatype."""

MAX_FLOATS: dict[Datatype, float] = {
    name: float(np.finfo(kind).max) for name, kind in NUMPY_TYPES.items() if kind.kind == "f"
}
"""The greatest finite value of each floating-point datatype."""

IMAGE_DATATYPES: tuple[Datatype, ...] = ("FP16", "FP32", "FP64", "UINT8")
"""Datatypes that a decoded image can be converted to."""
