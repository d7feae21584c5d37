"""Parses the messages of msgspec's ValidationError, which has no structured form."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_MESSAGE_CHARACTERS = 2_000
"""Characters of a message that are parsed. It may repeat a key of any length from a client."""
_MESSAGE = re.compile(r"(?P<rule>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_SEPARATORS = re.compile(r"[.\[\]]+")
_MISSING = re.compile(r"missing required field `(?P<name>.*)`", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>.*)`", re.DOTALL)


class Violation(NamedTuple):
    """One rule that a value breaks.

    `path` leads to the value or, when a field is missing or unknown, to the object that lacks or
    holds it. `rule` is msgspec's sentence, for example "Expected `str`, got `int`". `missing` and
    `unknown` hold the name of such a field.
    """

    path: tuple[str, ...]
    rule: str
    missing: str = ""
    unknown: str = ""


def parse_message(message: str) -> Violation:
    """Parse a message such as "Expected `str`, got `int` - at `$.labels[0]`".

    The path of the example is ("labels", "0"). Keys of dictionaries are not part of paths.
    """
    if len(message) > MAX_MESSAGE_CHARACTERS:  # the path is at the end
        half = MAX_MESSAGE_CHARACTERS // 2
        message = message[:half] + message[-half:]
    match = _MESSAGE.fullmatch(message)
    rule, place = (match["rule"], match["path"] or "") if match else (message, "")
    missing, unknown = _MISSING.search(rule), _UNKNOWN.search(rule)
    return Violation(
        path=tuple(part for part in _SEPARATORS.split(place) if part),
        rule=rule,
        missing=missing["name"] if missing else "",
        unknown=unknown["name"] if unknown else "",
    )
