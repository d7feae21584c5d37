"""Splits a streamed body into lines, holding at most one line and one chunk in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

from slipway_core.errors import PayloadTooLarge

MAX_EMPTY_LINES = 100_000
"""Of one body. Compressed, a kilobyte holds a million of them, and each takes a turn."""


async def read_lines(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the lines without their ends. Empty lines are included, so that callers can count.

    Raises PayloadTooLarge naming the first line with more than `max_bytes`, or when more than
    MAX_EMPTY_LINES are empty.
    """
    number = 1
    empty = 0
    rest = bytearray()
    async for chunk in chunks:
        if b"\n" not in chunk:
            rest += chunk
        else:
            first, *complete, last = chunk.split(b"\n")
            for line in (bytes(rest + first), *complete):
                _check(line, number, max_bytes)
                empty += not line
                if empty > MAX_EMPTY_LINES:
                    raise PayloadTooLarge(f"the body has more than {MAX_EMPTY_LINES} empty lines")
                yield line
                number += 1
            rest = bytearray(last)
        _check(rest, number, max_bytes)
    if rest:
        yield bytes(rest)


def _check(line: bytes | bytearray, number: int, max_bytes: int) -> None:
    if len(line) > max_bytes:
        raise PayloadTooLarge(f"line {number} has more than {max_bytes} bytes")
