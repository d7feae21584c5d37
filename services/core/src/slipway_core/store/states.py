"""States of batch jobs and of their chunks, for the schema, queries, API and command line.

job:    queued → running → succeeded | partial | failed
        queued or running → cancelled | expired
        partial | failed → queued, when the failed items are retried by request
chunk:  waiting ⇄ running → done
        waiting or running → cancelled
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, LiteralString, get_args

JobState = Literal["queued", "running", "succeeded", "partial", "failed", "cancelled", "expired"]
JOB_STATES: tuple[JobState, ...] = get_args(JobState)
OPEN_JOB_STATES: tuple[JobState, ...] = ("queued", "running")
"""States of a job that has not ended: it can be cancelled, and it can expire."""
FINAL_JOB_STATES: frozenset[JobState] = frozenset(JOB_STATES).difference(OPEN_JOB_STATES)
"""States that a job does not leave by itself."""

ChunkState = Literal["waiting", "running", "done", "cancelled"]
CHUNK_STATES: tuple[ChunkState, ...] = get_args(ChunkState)
OPEN_CHUNK_STATES: tuple[ChunkState, ...] = ("waiting", "running")
"""States of a chunk whose results are not stored yet."""


def state_in(states: Iterable[JobState | ChunkState], column: LiteralString = "state") -> str:
    """Return the SQL condition that `column` is one of `states`."""
    return f"{column} IN ({', '.join(repr(state) for state in states)})"


JOB_IS_OPEN = state_in(OPEN_JOB_STATES)
CHUNK_IS_OPEN = state_in(OPEN_CHUNK_STATES)
