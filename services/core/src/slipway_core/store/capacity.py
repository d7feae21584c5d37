"""Room for batch jobs: the backlog of a deployment and the database are bounded.

Whoever submits faster than workers compute fills the disk of PostgreSQL, and then nothing works for
anybody. So jobs are refused while there is still room for the results of those that were accepted.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from slipway_core.errors import InsufficientStorage
from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.connection import Connection
from slipway_core.store.postgres.database import Database
from slipway_core.store.states import JOB_IS_OPEN

RESULT_BYTES = 2_048
"""Space that is kept for the result of an input: the vector of a text model, and its row."""
RETRY_AFTER_SECONDS = 60
MEASURE_SECONDS = 10
_DATABASE_IS_FULL = "the database is almost full (SLIPWAY_DATABASE_MAX_BYTES)"


@dataclass(frozen=True, slots=True)
class Usage:
    """Inputs without a result and bytes of inputs in the open jobs of a deployment, and the bytes
    of the whole database.
    """

    items: int
    input_bytes: int
    database_bytes: int


@dataclass(frozen=True, slots=True)
class Capacity:
    """Bounds of the usage; 0 bytes of the database stand for no bound."""

    max_items: int
    max_input_bytes: int
    max_database_bytes: int

    @classmethod
    def of(cls, settings: ServiceSettings) -> Capacity:
        """Return the bounds of a deployment."""
        return cls(
            max_items=settings.batch_max_backlog_items,
            max_input_bytes=settings.batch_max_backlog_bytes,
            max_database_bytes=settings.database_max_bytes,
        )

    def ratios(self, usage: Usage) -> dict[str, float]:
        """Return which part of each bound is used, by its name in metrics."""
        database_bytes = usage.database_bytes + usage.items * RESULT_BYTES
        return {
            "items": usage.items / self.max_items,
            "bytes": usage.input_bytes / self.max_input_bytes,
            "database": database_bytes / self.max_database_bytes
            if self.max_database_bytes
            else 0.0,
        }

    def check(self, usage: Usage, new_items: int = 1, new_bytes: int = 0) -> None:
        """Raise InsufficientStorage unless there is room for a job beside what is used."""
        ratios = self.ratios(
            Usage(
                usage.items + new_items,
                usage.input_bytes + new_bytes,
                usage.database_bytes + new_bytes,
            )
        )
        if ratios["items"] > 1:
            raise _full(
                f"{usage.items} inputs of this model wait, and at most {self.max_items} may "
                "(SLIPWAY_BATCH_MAX_BACKLOG_ITEMS)"
            )
        if ratios["bytes"] > 1:
            raise _full(
                f"inputs of {usage.input_bytes} bytes of this model wait, and at most "
                f"{self.max_input_bytes} may (SLIPWAY_BATCH_MAX_BACKLOG_BYTES)"
            )
        if ratios["database"] > 1:
            raise _full(_DATABASE_IS_FULL)


async def read_usage(connection: Connection, queue: str) -> Usage:
    """Return what the open jobs of a queue and the database use."""
    cursor = await connection.execute(
        "SELECT coalesce(sum(total - succeeded - failed), 0)::bigint,"
        " coalesce(sum(input_bytes), 0)::bigint, pg_database_size(current_database())"
        " FROM batch_jobs WHERE queue = %s AND " + JOB_IS_OPEN,
        [queue],
    )
    rows = await cursor.fetchall()
    return Usage(*rows[0])


class DatabaseSpace:
    """The size of the database, measured at most every MEASURE_SECONDS."""

    def __init__(self, database: Database, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._measured_at = float("-inf")

    async def check(self) -> None:
        """Raise InsufficientStorage when the database is almost full. Raises StoreUnavailable."""
        if not self._max_bytes:
            return
        if time.monotonic() - self._measured_at > MEASURE_SECONDS:
            async with self._database.transaction() as connection:
                cursor = await connection.execute("SELECT pg_database_size(current_database())")
                ((self._used_bytes,),) = await cursor.fetchall()
            self._measured_at = time.monotonic()
        if self._used_bytes > self._max_bytes:
            raise _full(_DATABASE_IS_FULL)


def _full(fact: str) -> InsufficientStorage:
    return InsufficientStorage(
        f"{fact}: try again when jobs have ended", retry_after_seconds=RETRY_AFTER_SECONDS
    )
