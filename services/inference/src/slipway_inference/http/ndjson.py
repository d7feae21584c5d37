"""Splits a streamed body into lines, holding at most one line and one chunk in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

from slipway_core.errors import PayloadTooLarge


async def read_lines(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Yield the lines without their ends. Empty lines are included, so that callers can count.

    Raises PayloadTooLarge naming the first line with more than `max_bytes`.
    """
    number = 1
    rest = bytearray()
    async for chunk in chunks:
        if b"\n" not in chunk:
            rest += chunk
        else:
            first, *complete, last = chunk.split(b"\n")
            for line in (bytes(rest + first), *complete):
                _check(line, number, max_bytes)
                yield line
                number += 1
            rest = bytearray(last)
        _check(rest, number, max_bytes)
    if rest:
        yield bytes(rest)


def _check(line: bytes | bytearray, number: int, max_bytes: int) -> None:
    if len(line) > max_bytes:
        raise PayloadTooLarge(f"line {number} has more than {max_bytes} bytes")
