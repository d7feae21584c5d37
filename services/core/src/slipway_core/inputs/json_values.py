"""Limits on JSON values that callers send: what neither UTF-8 nor PostgreSQL can hold, and what is
too large.
"""

from __future__ import annotations

import math
import re
from typing import Any

from slipway_core.errors import InvalidInput

MOST_VALUES = 10_000
DEEPEST_LEVEL = 8
LONGEST_TEXT = 1_000_000
SMALLEST_INTEGER, LARGEST_INTEGER = -(2**63), 2**64 - 1

_SURROGATE = re.compile("[\ud800-\udfff]")


def check_json(value: Any, field: str) -> None:
    """Raises InvalidInput for NaN, infinity, bad characters, great depth or very many values."""
    pending: list[tuple[Any, str, int]] = [(value, field, 0)]
    seen = 0
    while pending:
        part, place, depth = pending.pop()
        seen += 1
        if seen > MOST_VALUES:
            raise InvalidInput.at(field, f"must hold at most {MOST_VALUES} values")
        if depth > DEEPEST_LEVEL:
            raise InvalidInput.at(field, f"must be at most {DEEPEST_LEVEL} levels deep")
        if isinstance(part, str):
            check_text(part, place)
        elif isinstance(part, int) and not SMALLEST_INTEGER <= part <= LARGEST_INTEGER:
            raise InvalidInput.at(place, "must be a whole number that 64 bits can hold")
        elif isinstance(part, float) and not math.isfinite(part):
            raise InvalidInput.at(place, "must be a finite number, not NaN or infinity")
        elif isinstance(part, dict):
            for key in part:
                check_text(key, place)
            pending.extend((inner, f"{place}.{key}", depth + 1) for key, inner in part.items())
        elif isinstance(part, list):
            pending.extend((inner, f"{place}.{i}", depth + 1) for i, inner in enumerate(part))


def check_text(text: str, field: str, longest: int = LONGEST_TEXT) -> None:
    """Raises InvalidInput for a text that is too long or has characters that cannot be stored."""
    if len(text) > longest:
        raise InvalidInput.at(field, f"must have at most {longest} characters, not {len(text)}")
    if "\0" in text:
        raise InvalidInput.at(field, "must not contain the character NUL (\\u0000)")
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidInput.at(field, "must be valid Unicode: it contains half of a surrogate pair")


def json_type(value: Any) -> str:
    """What JSON calls a value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, dict) else "a list"
