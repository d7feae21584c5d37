"""Reads pages of rows that are bounded in bytes: a thousand rows can have a gigabyte.

JSON is decoded off the event loop, row by row, once it is known how much of it there is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from psycopg.abc import Query
from psycopg.adapt import Loader
from psycopg.pq import Format

from slipway_core.store.postgres.connection import Connection

T = TypeVar("T")

MAX_PAGE_BYTES = 8 * 1024 * 1024
"""Size of JSON and vectors after which a page ends. It has at least one row."""
MAX_INLINE_BYTES = 128 * 1024
"""Size of a page that is decoded at once, in about a millisecond."""
FETCH_ROWS = 32
"""Rows that are in memory before their size is known."""
_CURSOR = "page"


class Page(list[T]):
    """The rows of a page. `size` are the bytes of their JSON and vectors; `is_cut` says that this
    ended the page before its limit.
    """

    size = 0
    is_cut = False


class JsonText(bytes):
    """The text of a `jsonb` column, not decoded yet."""


class _JsonTextLoader(Loader):
    format = Format.BINARY

    def load(self, data: Any) -> JsonText:
        return JsonText(bytes(data)[1:])  # after the version of the format


async def read_page(
    connection: Connection,
    query: Query,
    values: Sequence[object],
    limit: int,
    decode: Callable[[tuple[Any, ...]], T],
    max_bytes: int = MAX_PAGE_BYTES,
) -> Page[T]:
    """Return the rows of a query with `limit` rows, as far as `max_bytes` allow, each decoded.
    `decode` gets JSON as JsonText.
    """
    rows: list[tuple[Any, ...]] = []
    size = 0
    async with connection.cursor(_CURSOR, binary=True) as cursor:
        cursor.adapters.register_loader("jsonb", _JsonTextLoader)
        await cursor.execute(query, values)
        while size < max_bytes and (fetched := await cursor.fetchmany(FETCH_ROWS)):
            rows += fetched
            size += sum(map(_row_bytes, fetched))
    kept = rows[: _rows_within(rows, max_bytes)]
    page = await _decode(kept, size, decode)
    page.size = sum(map(_row_bytes, kept))
    page.is_cut = len(kept) < len(rows) or (size >= max_bytes and len(rows) < limit)
    return page


async def _decode(
    rows: Sequence[tuple[Any, ...]], size: int, decode: Callable[[tuple[Any, ...]], T]
) -> Page[T]:
    if size <= MAX_INLINE_BYTES:
        return Page(map(decode, rows))
    return await asyncio.to_thread(lambda: Page(map(decode, rows)))


def _rows_within(rows: Sequence[tuple[Any, ...]], max_bytes: int) -> int:
    """Return how many rows end within `max_bytes`, but at least one if there are any."""
    size = 0
    for index, row in enumerate(rows):
        size += _row_bytes(row)
        if size > max_bytes:
            return max(1, index)
    return len(rows)


def _row_bytes(row: tuple[Any, ...]) -> int:
    return sum(len(value) for value in row if isinstance(value, bytes))
