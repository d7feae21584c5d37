"""The prediction log: written in bulk, read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import sql

from slipway_core.identifiers import first_uuid7
from slipway_core.store.postgres.binary_copy import (
    copy_rows,
    double_field,
    int_field,
    json_field,
    recurring_text_field,
    row,
    text_field,
    time_field,
    uuid_field,
)
from slipway_core.store.postgres.database import Database
from slipway_core.store.postgres.float_array import encode_float_array
from slipway_core.store.postgres.jsonb import storable_json
from slipway_core.store.records import PredictionFilter, PredictionRecord

COLUMNS = (
    "id", "created_at", "request_id", "model", "version", "model_digest", "modality", "status",
    "input", "prediction", "embedding", "latency_ms", "tokens",
)  # fmt: skip
# An id carries the time at which it was made, which is that of its row give or take this much:
# so bounds of time are bounds of the primary key too.
_ID_SLACK = timedelta(hours=1)


class PredictionRepository:
    """Reads and writes the table `predictions`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, records: Sequence[PredictionRecord]) -> None:
        """Write all records or none. Raises StoreUnavailable."""
        async with self._database.transaction() as connection, connection.cursor() as cursor:
            await copy_rows(cursor, "predictions", COLUMNS, map(_encode, records))

    async def count(self) -> int:
        """How many records there are."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute("SELECT count(*) FROM predictions")
            return sum(number for (number,) in await cursor.fetchall())

    async def page(
        self, wanted: PredictionFilter, before: UUID | None, limit: int
    ) -> list[PredictionRecord]:
        """At most `limit` records older than the id `before`, newest first."""
        query, values = page_query(wanted, before, limit)
        async with (
            self._database.transaction() as connection,
            connection.cursor(binary=True) as cursor,
        ):
            await cursor.execute(query, values)
            return [_decode(found) for found in await cursor.fetchall()]


def page_query(
    wanted: PredictionFilter, before: UUID | None, limit: int
) -> tuple[sql.Composed, list[object]]:
    """The query of a page, and its values."""
    conditions, values = _conditions(wanted, before)
    query = sql.SQL("SELECT {} FROM predictions WHERE {} ORDER BY id DESC LIMIT %s").format(
        sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
        sql.SQL(" AND ").join(map(sql.SQL, conditions)) if conditions else sql.SQL("true"),
    )
    return query, [*values, limit]


def _encode(record: PredictionRecord) -> bytes:
    return row(
        uuid_field(record.id),
        time_field(record.created_at),
        text_field(record.request_id),
        recurring_text_field(record.model),
        recurring_text_field(record.version),
        recurring_text_field(record.model_digest),
        recurring_text_field(record.modality),
        recurring_text_field(record.status),
        None if record.input is None else json_field(storable_json(record.input)),
        None if record.prediction is None else json_field(storable_json(record.prediction)),
        encode_float_array(record.embedding) if record.embedding else None,
        double_field(record.latency_ms),
        int_field(record.tokens),
    )


def _decode(found: tuple[Any, ...]) -> PredictionRecord:
    fields = dict(zip(COLUMNS, found, strict=True))
    fields["embedding"] = fields["embedding"] or b""
    return PredictionRecord(**fields)


def _conditions(wanted: PredictionFilter, before: UUID | None) -> tuple[list[str], list[object]]:
    conditions: list[str] = []
    values: list[object] = []

    def add(condition: str, *given: object) -> None:
        conditions.append(condition)
        values.extend(given)

    if wanted.since is not None:
        add("created_at >= %s AND id >= %s", wanted.since, first_uuid7(wanted.since - _ID_SLACK))
    if wanted.until is not None:
        add("created_at < %s AND id < %s", wanted.until, first_uuid7(wanted.until + _ID_SLACK))
    for column in ("model", "version", "status"):
        value = getattr(wanted, column)
        if value is not None:
            add(f"{column} = %s", value)
    if wanted.status not in (None, "ok"):
        # Lets PostgreSQL see, before it knows the value, that the index of failures has them all.
        add("status <> 'ok'")
    if before is not None:
        add("id < %s", before)
    return conditions, values
