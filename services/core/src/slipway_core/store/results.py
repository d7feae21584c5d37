"""Storage and counting of item results, within the transaction of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from slipway_core.errors import WorkerCrashed
from slipway_core.store.postgres.binary_copy import (
    copy_rows,
    int_field,
    json_field,
    row,
    text_field,
    uuid_field,
)
from slipway_core.store.postgres.connection import Connection
from slipway_core.store.postgres.float_array import encode_float_array
from slipway_core.store.postgres.jsonb import storable_json
from slipway_core.store.records import ItemResult
from slipway_core.store.states import JOB_IS_OPEN

_COLUMNS = (
    "job_id", "idx", "prediction", "embedding", "error_code", "error_message", "attempts",
)  # fmt: skip


async def count_results(connection: Connection, job_id: UUID) -> int:
    """Return how many inputs of the job have a result; 0 for an unknown job."""
    cursor = await connection.execute(
        "SELECT count(*) FROM batch_results WHERE job_id = %s", [job_id]
    )
    return sum(number for (number,) in await cursor.fetchall())


def crash_result(index: int, attempts: int, lost: int) -> ItemResult:
    """Return the result WorkerCrashed of an input after `attempts`, `lost` of them with a lost
    lease.
    """
    return ItemResult(
        index=index,
        prediction=None,
        embedding=b"",
        error_code=WorkerCrashed.__name__,
        error_message=(
            f"computing this input failed {attempts} times, the last time alone: it took too long, "
            f"or its workers were lost ({lost} times). Make the input smaller, or give the workers "
            "more memory or time; then retry the job"
        ),
        attempts=attempts,
    )


async def write_results(
    connection: Connection, job_id: UUID, results: Sequence[ItemResult]
) -> None:
    """Store `results` and count them in their job; the last result of a job ends it.

    An item that has a result keeps it. The caller has locked the row of the chunk, so no other
    process stores results for its items. COPY cannot skip existing rows, so they are left out.
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
        await cursor.execute(_COUNT_RESULTS, counts)
        await cursor.execute(_FINISH_JOB, [job_id])


_COUNT_RESULTS = """
UPDATE batch_jobs
   SET succeeded = succeeded + %(succeeded)s, failed = failed + %(failed)s
 WHERE id = %(id)s
"""

_FINISH_JOB = f"""
UPDATE batch_jobs
   SET state = CASE WHEN failed = 0 THEN 'succeeded'
                    WHEN succeeded = 0 THEN 'failed'
                    ELSE 'partial' END,
       reason = CASE WHEN failed > 0 THEN
           format('%%s of %%s inputs failed: each has its error among the results', failed, total)
           END,
       finished_at = now(),
       webhook_next_at = CASE WHEN webhook_url IS NOT NULL THEN now() END
 WHERE id = %s AND succeeded + failed = total AND {JOB_IS_OPEN}
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
