"""Conversion between float32 vectors and the binary form of PostgreSQL's `real[]`.

A vector never becomes a list of Python floats on its way into or out of the database.
"""

from __future__ import annotations

import struct

import numpy as np

REAL_ARRAY_OID = 1021
_REAL_OID = 700
# dimensions, has-nulls flag, element type, length, lower bound
_HEADER = struct.Struct("!iiIii")
_EMPTY = struct.pack("!iiI", 0, 0, _REAL_OID)
_ELEMENT = np.dtype([("size", ">i4"), ("value", ">f4")])


def encode_float_array(vector: bytes) -> bytes:
    """Return the binary `real[]` of a vector, [width] of little-endian float32."""
    values = np.frombuffer(vector, dtype="<f4")
    if not values.size:
        return _EMPTY
    elements = np.empty(values.size, dtype=_ELEMENT)
    elements["size"] = 4
    elements["value"] = values
    return _HEADER.pack(1, 0, _REAL_OID, values.size, 1) + elements.tobytes()


def decode_float_array(data: bytes) -> bytes:
    """Return the vector, [width] of little-endian float32, of a `real[]` without nulls."""
    if len(data) <= _HEADER.size:
        return b""
    return np.frombuffer(data, dtype=_ELEMENT, offset=_HEADER.size)["value"].astype("<f4").tobytes()
