"""Retries by request: the failed items of a job that has ended are queued again."""

from __future__ import annotations

from uuid import UUID

from slipway_core.errors import RetryRefused
from slipway_core.queue.contract import ring_id
from slipway_core.store.postgres.connection import Connection
from slipway_core.store.submission import MAX_CHUNK_CHARACTERS, SubmissionLimits

# Runs of consecutive failed items, cut where a limit of a chunk is reached. `size` and `tokens` are
# running totals of a run, so a chunk may exceed a limit by its last item.
_INSERT_CHUNKS = """
WITH failed AS (
    SELECT idx, tokens, octet_length(input::text) AS size,
           idx - row_number() OVER (ORDER BY idx) AS run
      FROM batch_results JOIN batch_items USING (job_id, idx)
     WHERE job_id = %(id)s AND error_code IS NOT NULL
), placed AS (
    SELECT idx, run, idx / %(items)s AS by_items,
           sum(tokens) OVER running / %(tokens)s AS by_tokens,
           sum(size) OVER running / %(size)s AS by_size
      FROM failed WINDOW running AS (PARTITION BY run ORDER BY idx)
), parts AS (
    SELECT min(idx) AS first_index, count(*) AS count
      FROM placed GROUP BY run, by_items, by_tokens, by_size
)
INSERT INTO batch_chunks (job_id, chunk, queue, first_index, count)
SELECT id, (SELECT coalesce(max(chunk), -1) FROM batch_chunks WHERE job_id = id)
           + row_number() OVER (ORDER BY first_index), queue, first_index, parts.count
  FROM parts, batch_jobs WHERE id = %(id)s
RETURNING chunk
"""

# The time until the deadline is as long as the first time.
_REOPEN = """
UPDATE batch_jobs
   SET state = 'queued', failed = 0, retries = retries + 1, started_at = NULL, finished_at = NULL,
       reason = NULL, deadline = now() + (deadline - created_at), webhook_attempts = 0,
       webhook_next_at = NULL, webhook_delivered_at = NULL, webhook_error = NULL
 WHERE id = %s
"""


async def requeue_failed(
    connection: Connection, job_id: UUID, model_digest: str, limits: SubmissionLimits
) -> list[str]:
    """Queue the failed items of an existing job in the current transaction, and return the rings.

    Raises RetryRefused. See `JobRepository.retry` for what is retried.
    """
    cursor = await connection.execute(
        "SELECT state, failed, model_digest FROM batch_jobs WHERE id = %s FOR UPDATE", [job_id]
    )
    for state, failed, digest in await cursor.fetchall():
        if state in ("cancelled", "expired"):
            raise RetryRefused(f"the job is {state}: submit its inputs as a new job")
        if state not in ("partial", "failed") or not failed:
            return []
        if digest != model_digest:
            raise RetryRefused(
                "the job was computed by another version of the model, and its results must not be "
                "mixed: submit its failed inputs as a new job"
            )
    limit = {
        "id": job_id,
        "items": limits.chunk_items,
        "tokens": limits.chunk_tokens,
        "size": MAX_CHUNK_CHARACTERS,
    }
    cursor = await connection.execute(_INSERT_CHUNKS, limit)
    chunks = [chunk for (chunk,) in await cursor.fetchall()]
    await connection.execute(
        "DELETE FROM batch_results WHERE job_id = %s AND error_code IS NOT NULL", [job_id]
    )
    await connection.execute(_REOPEN, [job_id])
    return [ring_id(job_id, chunk, 0) for chunk in chunks]
