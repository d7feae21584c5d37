"""Decodes large JSON text in slices.

msgspec holds the interpreter until it has decoded a text, and nothing else of the server runs
meanwhile. So large texts are decoded by many short calls, on a thread of their own, and only when
their structure is within limits: a byte can become 30 bytes of objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np

from slipway_core.errors import MalformedBody
from slipway_inference.http.json_structure import (
    CLOSING,
    COLON,
    COMMA,
    OPENING,
    Limits,
    Structure,
    find_structure,
)

SLICE_BYTES = 64 * 1024
BYTES_PER_VALUE, BYTES_PER_CONTAINER = 16, 64
"""Size of the body that each value, and each list or object, needs. Numbers in JSON have about 10
to 20 characters, so that these bounds are met by what is made to meet them. They keep the memory
for a body within eight times its largest size.
"""
_CLOSINGS = {b"[": b"]", b"{": b"}"}
_SPACE = b" \t\r\n"
_any = msgspec.json.Decoder(Any)
_list = msgspec.json.Decoder(list[Any])
_object = msgspec.json.Decoder(dict[str, Any])
_string = msgspec.json.Decoder(str)


def limits_for(max_bytes: int) -> Limits:
    """Return how much a body may hold where bodies have at most `max_bytes`."""
    return Limits(max_bytes // BYTES_PER_VALUE, max_bytes // BYTES_PER_CONTAINER)


DEFAULT_LIMITS = limits_for(16 * 1024 * 1024)
"""Those of a body of the largest size by default."""


def decode_large(text: bytes | bytearray, limits: Limits, what: str) -> Any:
    """Decode JSON text of any size, `what` in error messages.

    Raises MalformedBody, PayloadTooLarge, and what msgspec raises.
    """
    if len(text) <= SLICE_BYTES:
        return _any.decode(text)
    structure = find_structure(text, limits, what)
    return _SlicedDecoder(text, structure, what).decode()


class _SlicedDecoder:
    """Decodes one text. Indices are those of the structure's characters."""

    def __init__(self, text: bytes | bytearray, structure: Structure, what: str) -> None:
        self._text = memoryview(text)
        self._structure = structure
        self._what = what

    def decode(self) -> Any:
        last = len(self._structure.positions) - 1
        if last < 1:
            return _any.decode(self._text)
        return self._decode_value(0, len(self._text), 0, last)

    def _decode_value(self, start: int, end: int, opening: int, closing: int) -> Any:
        """Decode the value between two positions. If it is a container, `opening` and `closing` are
        its brackets.
        """
        positions, kinds, _ = self._structure
        if (
            end - start <= SLICE_BYTES
            or closing - opening < 2
            or kinds[opening] != OPENING
            or kinds[closing] != CLOSING
            or self._has_text(start, positions[opening])
            or self._has_text(positions[closing] + 1, end)
        ):
            return _any.decode(self._text[start:end])
        first, last = self._character(opening), self._character(closing)
        if _CLOSINGS[first] != last:
            raise self._malformed("its brackets do not match")
        if first == b"[":
            return self._decode_list(opening, closing)
        return self._decode_object(opening, closing)

    def _decode_list(self, opening: int, closing: int) -> list[Any]:
        elements: list[Any] = []
        for left, right, count in self._slices(opening, closing):
            if count == 1 and self._is_large(left, right):
                start = self._structure.positions[left] + 1
                end = self._structure.positions[right]
                elements.append(self._decode_value(start, end, left + 1, right - 1))
                continue
            part = _list.decode(self._slice(b"[", left, right, b"]"))
            if len(part) != count:
                raise self._malformed("an element of a list is missing")
            elements += part
        return elements

    def _decode_object(self, opening: int, closing: int) -> dict[str, Any]:
        members: dict[str, Any] = {}
        for left, right, count in self._slices(opening, closing):
            if count == 1 and self._is_large(left, right):
                name, value = self._decode_member(left, right)
                members[name] = value
                continue
            part = _object.decode(self._slice(b"{", left, right, b"}"))
            if not part:
                raise self._malformed("a member of an object is missing")
            members.update(part)
        return members

    def _decode_member(self, left: int, right: int) -> tuple[str, Any]:
        positions, kinds, levels = self._structure
        colon = left + 1
        if kinds[colon] != COLON or levels[colon] != levels[right]:
            raise self._malformed("a member of an object has no name")
        name = _string.decode(self._text[positions[left] + 1 : positions[colon]])
        value = self._decode_value(positions[colon] + 1, positions[right], colon + 1, right - 1)
        return name, value

    def _slices(self, opening: int, closing: int) -> Iterator[tuple[int, int, int]]:
        """Yield runs of members of a container: the indices of the characters around each run, and
        how many members it has. A run is longer than a slice only when it has one member.
        """
        positions, kinds, levels = self._structure
        within = slice(opening + 1, closing)
        commas = (levels[within] == levels[opening]) & (kinds[within] == COMMA)
        bounds = np.concatenate(([opening], np.flatnonzero(commas) + opening + 1, [closing]))
        places = positions[bounds]
        at = 0
        while at < len(bounds) - 1:
            end = int(np.searchsorted(places, places[at] + SLICE_BYTES, "right")) - 1
            end = max(end, at + 1)
            yield int(bounds[at]), int(bounds[end]), end - at
            at = end

    def _is_large(self, left: int, right: int) -> bool:
        positions = self._structure.positions
        return bool(positions[right] - positions[left] > SLICE_BYTES)

    def _slice(self, before: bytes, left: int, right: int, after: bytes) -> bytes:
        positions = self._structure.positions
        return b"".join((before, self._text[positions[left] + 1 : positions[right]], after))

    def _has_text(self, start: int, end: int) -> bool:
        return bool(bytes(self._text[start:end]).strip(_SPACE))

    def _character(self, index: int) -> bytes:
        position = self._structure.positions[index]
        return bytes(self._text[position : position + 1])

    def _malformed(self, reason: str) -> MalformedBody:
        return MalformedBody(f"the {self._what} is not valid JSON: {reason}")
