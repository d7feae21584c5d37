"""The prediction log: written in bulk, read newest first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import sql

from slipway_core.store.identifiers import first_uuid7
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
from slipway_core.store.postgres.jsonb import read_json, storable_json
from slipway_core.store.postgres.page import Page, read_page
from slipway_core.store.records import PredictionFilter, PredictionRecord

# Columns of a record. The repository adds the deployment, which is the same for all of its records.
COLUMNS = (
    "id", "created_at", "request_id", "model", "version", "model_digest", "modality", "status",
    "input", "prediction", "embedding", "latency_ms", "tokens",
)  # fmt: skip
# The time in an id differs from that of its row by less than this, so that a condition on the time
# can also be one on the primary key.
_MAX_ID_SKEW = timedelta(hours=1)


class PredictionRepository:
    """The predictions of one deployment, named as in `ServiceSettings.deployment_id`. Those of
    others are neither read nor counted. All methods raise StoreUnavailable.
    """

    def __init__(self, database: Database, deployment: str) -> None:
        self._database = database
        self._deployment = deployment

    async def insert(self, records: Sequence[PredictionRecord]) -> None:
        """Store all records or none."""
        async with self._database.transaction() as connection, connection.cursor() as cursor:
            columns = (*COLUMNS, "deployment")
            await copy_rows(cursor, "predictions", columns, map(self._encode, records))

    async def count(self) -> int:
        """Return the number of records."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "SELECT count(*) FROM predictions WHERE deployment = %s", [self._deployment]
            )
            return sum(number for (number,) in await cursor.fetchall())

    async def page(
        self, conditions: PredictionFilter, before: UUID | None, limit: int
    ) -> Page[PredictionRecord]:
        """Return at most `limit` records older than the id `before`, newest first, within the size
        of a page.
        """
        query, values = page_query(self._deployment, conditions, before, limit)
        async with self._database.transaction() as connection:
            return await read_page(connection, query, values, limit, _decode)

    def _encode(self, record: PredictionRecord) -> bytes:
        return row(*_fields(record), recurring_text_field(self._deployment))


def page_query(
    deployment: str, conditions: PredictionFilter, before: UUID | None, limit: int
) -> tuple[sql.Composed, list[object]]:
    """Return the query of a page and its values."""
    clauses, values = _where(deployment, conditions, before)
    query = sql.SQL("SELECT {} FROM predictions WHERE {} ORDER BY id DESC LIMIT %s").format(
        sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
        sql.SQL(" AND ").join(map(sql.SQL, clauses)),
    )
    return query, [*values, limit]


def _where(
    deployment: str, conditions: PredictionFilter, before: UUID | None
) -> tuple[list[str], list[object]]:
    clauses = ["deployment = %s"]
    values: list[object] = [deployment]

    def add(clause: str, *clause_values: object) -> None:
        clauses.append(clause)
        values.extend(clause_values)

    since, until = conditions.since, conditions.until
    if since is not None:
        add("created_at >= %s AND id >= %s", since, first_uuid7(since - _MAX_ID_SKEW))
    if until is not None:
        add("created_at < %s AND id < %s", until, first_uuid7(until + _MAX_ID_SKEW))
    for column in ("model", "version", "status"):
        value = getattr(conditions, column)
        if value is not None:
            add(f"{column} = %s", value)
    if conditions.status not in (None, "ok"):
        # Lets PostgreSQL choose the partial index of failures before it knows the value.
        add("status <> 'ok'")
    if before is not None:
        add("id < %s", before)
    return clauses, values


def _fields(record: PredictionRecord) -> tuple[bytes | None, ...]:
    return (
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


def _decode(columns: tuple[Any, ...]) -> PredictionRecord:
    fields = dict(zip(COLUMNS, columns, strict=True))
    for name in ("input", "prediction"):
        if fields[name] is not None:
            fields[name] = read_json(fields[name])
    fields["embedding"] = fields["embedding"] or b""
    return PredictionRecord(**fields)
