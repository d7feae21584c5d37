"""Rows in the format of PostgreSQL's binary COPY.

This encoding takes a third of the time of the driver's, and uses JSON text and vectors as they are.
Each `*_field` function returns the bytes of one field.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

from psycopg import AsyncCursor, sql

from slipway_core.store.postgres.jsonb import storable_text

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_LENGTH = struct.Struct("!i")
_COUNT = struct.Struct("!h")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_FLUSH_BYTES = 128 * 1024
_BYTES_PER_TURN = 128 * 1024
_BYTES_PER_ROW = _BYTES_PER_TURN // 32  # encoding a small row takes as long as so many bytes


def uuid_field(value: UUID) -> bytes:
    return value.bytes


def text_field(value: str) -> bytes:
    return storable_text(value).encode()


@lru_cache(maxsize=64)
def recurring_text_field(value: str) -> bytes:
    """Return the cached field of a column with few different values."""
    return text_field(value)


def int_field(value: int) -> bytes:
    """Return the field of an `integer` column (4 bytes)."""
    return struct.pack("!i", value)


def double_field(value: float) -> bytes:
    return struct.pack("!d", value)


def time_field(value: datetime) -> bytes:
    """Return the field of a `timestamptz` column; `value` must have a time zone."""
    since = value - _EPOCH
    microseconds = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    return struct.pack("!q", microseconds)


def json_field(encoded: bytes) -> bytes:
    """Return the field of a `jsonb` column from JSON text."""
    return b"\x01" + encoded


def row(*fields: bytes | None) -> bytes:
    """Return the bytes of a row; None is NULL."""
    parts = [_COUNT.pack(len(fields))]
    for field in fields:
        if field is None:
            parts.append(_NULL)
        else:
            parts += (_LENGTH.pack(len(field)), field)
    return b"".join(parts)


class RowWriter:
    """A running COPY, to which rows are sent in blocks.

    Use it as a context manager; an exception inside aborts the COPY.
    """

    def __init__(self, cursor: AsyncCursor[object], table: str, columns: Iterable[str]) -> None:
        self._copying = cursor.copy(
            sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
                sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
            )
        )

    async def __aenter__(self) -> RowWriter:
        self._copy = await self._copying.__aenter__()
        self._buffer = bytearray(_SIGNATURE)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: object
    ) -> None:
        try:
            if kind is None:
                self._buffer += _TRAILER
                await self._copy.write(bytes(self._buffer))
        except BaseException as failure:
            await self._copying.__aexit__(type(failure), failure, failure.__traceback__)
            raise
        await self._copying.__aexit__(kind, error, traceback)  # type: ignore[arg-type]

    async def write(self, encoded: bytes) -> None:
        """Send rows made by `row`."""
        self._buffer += encoded
        if len(self._buffer) >= _FLUSH_BYTES:
            await self._copy.write(bytes(self._buffer))
            self._buffer.clear()


async def copy_blocks(
    cursor: AsyncCursor[object], table: str, columns: Iterable[str], blocks: AsyncIterator[bytes]
) -> None:
    """COPY blocks of rows that `row` made into `table`."""
    async with RowWriter(cursor, table, columns) as writer:
        async for block in blocks:
            await writer.write(block)


async def copy_rows(
    cursor: AsyncCursor[object], table: str, columns: Iterable[str], rows: Iterable[bytes]
) -> None:
    """COPY `rows` into `table`."""
    async with RowWriter(cursor, table, columns) as writer:
        bytes_in_turn = 0
        for encoded in rows:
            await writer.write(encoded)
            bytes_in_turn += len(encoded) + _BYTES_PER_ROW
            if bytes_in_turn > _BYTES_PER_TURN:
                bytes_in_turn = 0
                await asyncio.sleep(0)  # a thousand rows would block the event loop
