"""Writes and counts results of items, within the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from slipway_core.store.postgres.binary_copy import (
    copy_rows,
    int_field,
    json_field,
    row,
    text_field,
    uuid_field,
)
from slipway_core.store.postgres.database import Connection
from slipway_core.store.postgres.float_array import encode_float_array
from slipway_core.store.postgres.jsonb import storable_json
from slipway_core.store.records import ItemResult

_COLUMNS = (
    "job_id", "idx", "prediction", "embedding", "error_code", "error_message", "attempts",
)  # fmt: skip


async def count_results(connection: Connection, job_id: UUID) -> int:
    """How many inputs of the job have a result; 0 for an unknown job."""
    cursor = await connection.execute(
        "SELECT count(*) FROM batch_results WHERE job_id = %s", [job_id]
    )
    return sum(number for (number,) in await cursor.fetchall())


async def write_results(
    connection: Connection, job_id: UUID, results: Sequence[ItemResult]
) -> None:
    """Store `results` and count them in their job, which ends with the last one.

    An item that has a result keeps it. The caller holds the row of the chunk that the items belong
    to, so nobody else writes results for them: those that are there are left out of the COPY, which
    cannot skip rows by itself.
    """
    async with connection.cursor() as cursor:
        await cursor.execute(
            "SELECT idx FROM batch_results WHERE job_id = %s AND idx = ANY(%s)",
            [job_id, [result.index for result in results]],
        )
        existing = {index for (index,) in await cursor.fetchall()}
        added = [result for result in results if result.index not in existing]
        await copy_rows(cursor, "batch_results", _COLUMNS, (_encode(job_id, one) for one in added))
        failed = sum(result.error_code is not None for result in added)
        counts = {"id": job_id, "succeeded": len(added) - failed, "failed": failed}
        await cursor.execute(_COUNT, counts)
        await cursor.execute(_FINISH, [job_id])


_COUNT = """
UPDATE batch_jobs
   SET succeeded = succeeded + %(succeeded)s, failed = failed + %(failed)s
 WHERE id = %(id)s
"""

_FINISH = """
UPDATE batch_jobs
   SET state = CASE WHEN failed = 0 THEN 'succeeded'
                    WHEN succeeded = 0 THEN 'failed'
                    ELSE 'partial' END,
       reason = CASE WHEN failed > 0 THEN
           format('%%s of %%s inputs failed: each has its error among the results', failed, total)
           END,
       finished_at = now(),
       webhook_next_at = CASE WHEN webhook_url IS NOT NULL THEN now() END
 WHERE id = %s AND state IN ('queued', 'running') AND succeeded + failed = total
"""


def _encode(job_id: UUID, result: ItemResult) -> bytes:
    prediction = result.prediction
    return row(
        uuid_field(job_id),
        int_field(result.index),
        None if prediction is None else json_field(storable_json(prediction)),
        encode_float_array(result.embedding) if result.embedding else None,
        None if result.error_code is None else text_field(result.error_code),
        None if result.error_message is None else text_field(result.error_message),
        int_field(result.attempts),
    )
