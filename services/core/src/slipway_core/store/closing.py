"""The end of jobs by request or by their deadline: what has not run is dropped."""

from __future__ import annotations

from uuid import UUID

from slipway_core.store.postgres.connection import (
    LONG_STATEMENT_SECONDS,
    Connection,
    set_statement_timeout,
)
from slipway_core.store.states import CHUNK_IS_OPEN, JOB_IS_OPEN, JobState


async def close_job(connection: Connection, job_id: UUID, state: JobState, reason: str) -> None:
    """End an open job in `state`: cancel its open chunks and reject results that arrive later."""
    await set_statement_timeout(connection, LONG_STATEMENT_SECONDS)
    # A chunk whose results are being stored is locked; do not wait long for it.
    await connection.execute("SET LOCAL lock_timeout = '10s'")
    await _cancel_chunks(connection, job_id)
    await connection.execute(
        "UPDATE batch_jobs SET state = %s, reason = %s, finished_at = now(),"
        " webhook_next_at = CASE WHEN webhook_url IS NOT NULL THEN now() END"
        " WHERE id = %s AND " + JOB_IS_OPEN,
        [state, reason, job_id],
    )
    # A chunk that was split meanwhile has parts that the first call did not see. Splitting locks
    # the row of the job, which this transaction now holds, so no parts are missed by the second.
    await _cancel_chunks(connection, job_id)


async def _cancel_chunks(connection: Connection, job_id: UUID) -> None:
    # Locked in one order, so that two processes that close the same job do not deadlock.
    await connection.execute(
        "UPDATE batch_chunks SET state = 'cancelled', lease_token = NULL"
        " FROM (SELECT chunk AS number FROM batch_chunks WHERE job_id = %(id)s AND "
        + CHUNK_IS_OPEN
        + " ORDER BY chunk FOR UPDATE) AS open_chunks"
        " WHERE job_id = %(id)s AND chunk = number",
        {"id": job_id},
    )
