"""JSON and text as PostgreSQL stores them: valid UTF-8, no NUL, no NaN.

PostgreSQL rejects some values that JSON and Python allow. A prediction must be stored anyway, so
they are replaced: NUL and lone surrogates by U+FFFD or `?`, NaN and infinity by null.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_LONG_NUMBER = re.compile(rb"\d{19}")
_REPLACEMENT = "\ufffd"
_ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def storable_json(value: Any) -> bytes:
    """Return `value` as JSON text that a `jsonb` column accepts."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        encoded = msgspec.json.encode(_without_surrogates(value))
    return _without_nul(encoded)


def storable_text(text: str) -> str:
    """Return `text` as a `text` column accepts it."""
    return text.replace("\0", _REPLACEMENT).encode("utf-8", "replace").decode()


def has_nul(json_text: str) -> bool:
    """Return whether JSON text contains an escaped NUL, which `jsonb` rejects."""
    return "\\u0000" in json_text and bool(_ESCAPED_NUL.search(json_text.encode()))


def read_json(text: bytes | str) -> Any:
    """Decode the value of a `jsonb` column.

    PostgreSQL writes 1e300 with all its digits. Decoded as an integer it would fit neither
    MessagePack nor most JSON parsers, so it becomes a float again.
    """
    value = msgspec.json.decode(text)
    raw = text.encode() if isinstance(text, str) else bytes(text)
    return _with_floats(value) if _LONG_NUMBER.search(raw) else value


def _with_floats(value: Any) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return float(value)
    if isinstance(value, dict):
        return {key: _with_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return value


def _without_nul(encoded: bytes) -> bytes:
    if b"\\u0000" not in encoded:
        return encoded
    return _ESCAPED_NUL.sub(lambda match: match[1] + _REPLACEMENT.encode(), encoded)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    return value
