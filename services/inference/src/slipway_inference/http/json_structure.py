"""The structure of JSON text, found without decoding it.

It tells before any object is made how many values a text has and how deeply they are nested, and
where the text can be cut into slices. It does not tell whether the text is valid JSON.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from slipway_core.errors import MalformedBody, PayloadTooLarge

MAX_DEPTH = 64
"""Levels of nesting in a large body: a tensor has 16 dimensions, other values less."""
BLOCK_BYTES = 256 * 1024
"""Bytes that are looked at together."""

COMMA, COLON, OPENING, CLOSING = 1, 2, 3, 4
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_KINDS = np.zeros(256, dtype=np.uint8)
_KINDS[[ord(","), ord(":")]] = COMMA, COLON
_KINDS[[ord("["), ord("{")]] = OPENING
_KINDS[[ord("]"), ord("}")]] = CLOSING
_STEPS = np.array([0, 0, 0, 1, -1], dtype=np.int32)

Bytes = npt.NDArray[np.uint8]


class Limits(NamedTuple):
    """How much a text may hold: values (names of members included), and of these containers."""

    values: int
    containers: int


class Structure(NamedTuple):
    """The characters `,:[]{}` of a text that are not inside strings, in their order.

    `levels` holds for each the depth of its container, from 1, so that the characters of one
    container have the same level and those within its members a higher one.
    """

    positions: npt.NDArray[np.int64]
    kinds: Bytes
    levels: npt.NDArray[np.int8]


def find_structure(text: bytes | bytearray, limits: Limits, what: str) -> Structure:
    """Return the structure of a text, `what` in error messages.

    Raises PayloadTooLarge as soon as it exceeds the limits, and MalformedBody when its brackets
    do not match, when a string has no end, or when it is nested more deeply than MAX_DEPTH.
    """
    parts = []
    values = containers = depth = 0
    for positions, kinds in _structural_characters(text, what):
        depths = depth + np.cumsum(_STEPS[kinds])
        if depths.size:
            depth = int(depths[-1])
            if depths.max() > MAX_DEPTH:
                raise MalformedBody(f"the {what} is nested too deeply")
            if depths.min() < 0:
                raise _unbalanced(what)
        values += int(np.count_nonzero(kinds != CLOSING))
        containers += int(np.count_nonzero(kinds == OPENING))
        _check_counts(values, containers, limits, what)
        parts.append((positions, kinds, (depths + (kinds == CLOSING)).astype(np.int8)))
    if depth:
        raise _unbalanced(what)
    return Structure(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def _check_counts(values: int, containers: int, limits: Limits, what: str) -> None:
    for count, limit, name in (
        (values, limits.values, "values"),
        (containers, limits.containers, "lists and objects"),
    ):
        if count > limit:
            raise PayloadTooLarge(
                f"the {what} has more than {limit} {name}; send it in parts, tensors as binary "
                "data, or a batch as NDJSON"
            )


def _structural_characters(
    text: bytes | bytearray, what: str
) -> Iterator[tuple[npt.NDArray[np.int64], Bytes]]:
    """Yield the positions and kinds of the characters outside strings, block by block."""
    characters = np.frombuffer(text, dtype=np.uint8)
    inside = np.uint8(0)
    escaped = False
    for start in range(0, len(text), BLOCK_BYTES):
        block = characters[start : start + BLOCK_BYTES]
        quotes = block == _QUOTE
        backslashes = block == _BACKSLASH
        if escaped or backslashes.any():
            escapes, escaped = _escaped_characters(backslashes, escaped)
            quotes &= ~escapes
        # An 8-bit sum overflows, but keeps its parity.
        inside_string = (np.cumsum(quotes, dtype=np.uint8) + inside) & 1
        inside = inside_string[-1]
        kinds = _KINDS[block]
        kinds[inside_string.view(np.bool_)] = 0
        positions = np.flatnonzero(kinds)
        yield positions + start, kinds[positions]
    if inside:
        raise MalformedBody(f"the {what} is not valid JSON: a text in it has no end")


def _escaped_characters(
    backslashes: npt.NDArray[np.bool_], first: bool
) -> tuple[npt.NDArray[np.bool_], bool]:
    """Return which characters of a block follow an odd number of backslashes, and whether the first
    of the next block does. `first` says it of this block's first character.
    """
    indices = np.arange(len(backslashes))
    before = np.where(backslashes, -1 - first, indices)
    ends_odd_run = backslashes & ((indices - np.maximum.accumulate(before)) % 2 == 1)
    return np.concatenate(([first], ends_odd_run[:-1])), bool(ends_odd_run[-1])


def _unbalanced(what: str) -> MalformedBody:
    return MalformedBody(f"the {what} is not valid JSON: its brackets do not match")
