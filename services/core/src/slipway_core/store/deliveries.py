"""Which webhooks are to be called: kept with the job, so that a restart forgets none."""

from __future__ import annotations

from datetime import timedelta

from slipway_core.store.jobs import JOB_COLUMNS
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Delivery, Job


class DeliveryRepository:
    """The webhook calls that are due. All methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take_due(self, lease: timedelta, limit: int) -> list[Delivery]:
        """Calls to be made now; nobody else takes them within `lease`, and each counts as tried."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE batch_jobs SET webhook_next_at = now() + %s,"
                " webhook_attempts = webhook_attempts + 1 WHERE id IN"
                " (SELECT id FROM batch_jobs WHERE webhook_next_at <= now()"
                "  ORDER BY webhook_next_at LIMIT %s FOR UPDATE SKIP LOCKED)"
                " RETURNING webhook_url, webhook_attempts, " + JOB_COLUMNS,
                [lease, limit],
            )
            return [
                Delivery(url, attempt, Job(*job)) for url, attempt, *job in await cursor.fetchall()
            ]

    async def delivered(self, delivery: Delivery) -> None:
        """The receiver took it."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE batch_jobs SET webhook_next_at = NULL, webhook_error = NULL,"
                " webhook_delivered_at = now() WHERE id = %s",
                [delivery.job.id],
            )

    async def failed(self, delivery: Delivery, error: str, pause: timedelta | None) -> None:
        """The receiver did not take it; try again after `pause`, or never when that is None."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE batch_jobs SET webhook_next_at = now() + %s, webhook_error = %s"
                " WHERE id = %s",
                [pause, error, delivery.job.id],
            )
