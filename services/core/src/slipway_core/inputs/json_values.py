"""Checks of JSON values: sizes, and what UTF-8 or PostgreSQL cannot hold."""

from __future__ import annotations

import math
import re
from typing import Any

from slipway_core.errors import InvalidInput

MAX_VALUES = 10_000  # in one JSON value, containers included
MAX_DEPTH = 8  # levels of nesting
MAX_TEXT_CHARACTERS = 1_000_000
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1

_SURROGATE = re.compile("[\ud800-\udfff]")


def check_json(value: Any, field: str) -> None:
    """Check a JSON value.

    Raises InvalidInput for NaN, infinity, large integers, invalid characters, deep nesting or too
    many values.
    """
    pending: list[tuple[Any, str, int]] = [(value, field, 0)]
    count = 0
    while pending:
        part, place, depth = pending.pop()
        count += 1
        if count > MAX_VALUES:
            raise InvalidInput.at(field, f"must hold at most {MAX_VALUES} values")
        if depth > MAX_DEPTH:
            raise InvalidInput.at(field, f"must be at most {MAX_DEPTH} levels deep")
        if isinstance(part, str):
            check_text(part, place)
        elif isinstance(part, int) and not MIN_INTEGER <= part <= MAX_INTEGER:
            raise InvalidInput.at(place, "must be a whole number that 64 bits can hold")
        elif isinstance(part, float) and not math.isfinite(part):
            raise InvalidInput.at(place, "must be a finite number, not NaN or infinity")
        elif isinstance(part, dict):
            for key in part:
                check_text(key, place)
            pending.extend((inner, f"{place}.{key}", depth + 1) for key, inner in part.items())
        elif isinstance(part, list):
            pending.extend((inner, f"{place}.{i}", depth + 1) for i, inner in enumerate(part))


def check_text(text: str, field: str, max_characters: int = MAX_TEXT_CHARACTERS) -> None:
    """Check a string.

    Raises InvalidInput when it is too long or has characters that cannot be stored.
    """
    if len(text) > max_characters:
        raise InvalidInput.at(
            field, f"must have at most {max_characters} characters, not {len(text)}"
        )
    if "\0" in text:
        raise InvalidInput.at(field, "must not contain the character NUL (\\u0000)")
    if not text.isascii() and _SURROGATE.search(text):
        raise InvalidInput.at(field, "must be valid Unicode: it contains half of a surrogate pair")


def json_type(value: Any) -> str:
    """Return the name of a JSON value's type, for error messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "a text"
    return "an object" if isinstance(value, dict) else "a list"
