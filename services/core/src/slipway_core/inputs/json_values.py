"""Checks of JSON values: sizes, and what UTF-8 or PostgreSQL cannot hold."""

from __future__ import annotations

import math
import re
from typing import Any

from slipway_core.errors import InvalidInput

MAX_VALUES = 10_000  # in one JSON value, containers included
MAX_DEPTH = 8  # levels of nesting
MAX_TEXT_CHARACTERS = 1_000_000
MAX_KEY_CHARACTERS = 1_000  # of a member's name
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1

_SURROGATE = re.compile("[\ud800-\udfff]")


class _Violation(Exception):
    """A rule that a value breaks. `keys` lead to the value, the last one first."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.keys: list[str] = []


class _TooLarge(_Violation):
    """A rule that the whole value breaks."""


def check_json(value: Any, field: str) -> None:
    """Check a JSON value.

    Raises InvalidInput for NaN, infinity, large integers, invalid characters, long names of
    members, deep nesting or too many values.
    """
    try:
        _check_value(value, 1, 0)
    except _TooLarge as violation:
        raise InvalidInput.at(field, violation.rule) from None
    except _Violation as violation:
        place = ".".join((field, *reversed(violation.keys)))
        raise InvalidInput.at(place, violation.rule) from None


def _check_value(value: Any, count: int, depth: int) -> int:
    """Check a value that is the `count`-th. Return the number of values so far, which is compared
    with the limit before any of a container's values is visited.
    """
    if isinstance(value, str):
        _check_characters(value, MAX_TEXT_CHARACTERS)
    elif isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise _Violation("must be a whole number that 64 bits can hold")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _Violation("must be a finite number, not NaN or infinity")
    elif isinstance(value, dict | list) and value:
        if depth == MAX_DEPTH:
            raise _TooLarge(f"must be at most {MAX_DEPTH} levels deep")
        count += len(value)
        if count > MAX_VALUES:
            raise _TooLarge(f"must hold at most {MAX_VALUES} values")
        members = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in members:
            if isinstance(key, str):
                _check_characters(key, MAX_KEY_CHARACTERS)
            try:
                count = _check_value(inner, count, depth + 1)
            except _Violation as violation:
                violation.keys.append(str(key))
                raise
    return count


def _check_characters(text: str, max_characters: int) -> None:
    if len(text) > max_characters:
        raise _Violation(f"must have at most {max_characters} characters, not {len(text)}")
    if "\0" in text:
        raise _Violation("must not contain the character NUL (\\u0000)")
    if not text.isascii() and _SURROGATE.search(text):
        raise _Violation("must be valid Unicode: it contains half of a surrogate pair")


def check_text(text: str, field: str, max_characters: int = MAX_TEXT_CHARACTERS) -> None:
    """Check a string.

    Raises InvalidInput when it is too long or has characters that cannot be stored.
    """
    try:
        _check_characters(text, max_characters)
    except _Violation as violation:
        raise InvalidInput.at(field, violation.rule) from None


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
