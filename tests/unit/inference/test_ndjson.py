"""The lines of a body do not depend on its chunks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_core.errors import PayloadTooLarge
from slipway_inference.http.ndjson import MAX_EMPTY_LINES, read_lines


async def _chunks(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def _lines(parts: list[bytes], max_bytes: int = 1000) -> list[bytes]:
    return [line async for line in read_lines(_chunks(parts), max_bytes)]


@given(st.lists(st.binary(max_size=20), max_size=20))
async def test_lines_do_not_depend_on_chunks(parts: list[bytes]) -> None:
    body = b"".join(parts)
    expected = body.split(b"\n")
    if not expected[-1]:
        expected.pop()
    assert await _lines(parts) == expected


@pytest.mark.parametrize(
    "parts",
    [[b"ok\n", b"1234", b"56\n"], [b"ok\n123456\n"], [b"ok\n", b"123456"]],
)
async def test_a_line_that_is_too_long_is_rejected_with_its_number(parts: list[bytes]) -> None:
    with pytest.raises(PayloadTooLarge, match="line 2"):
        await _lines(parts, max_bytes=5)


async def test_a_body_has_a_bounded_number_of_empty_lines() -> None:
    assert len(await _lines([b"\n" * MAX_EMPTY_LINES])) == MAX_EMPTY_LINES
    with pytest.raises(PayloadTooLarge, match="empty lines"):
        await _lines([b"a\n", b"\n" * MAX_EMPTY_LINES, b"\n"])
