"""Webhook calls to make. They are stored with the job, so that none is lost in a restart."""

from __future__ import annotations

from datetime import timedelta

from slipway_core.store.jobs import JOB_COLUMNS
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Delivery, Job


class DeliveryRepository:
    """The webhook calls that are due. All methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim_due(self, lease: timedelta, limit: int) -> list[Delivery]:
        """Lease at most `limit` calls that are due, and count an attempt for each."""
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                "UPDATE batch_jobs SET webhook_next_at = now() + %s,"
                " webhook_attempts = webhook_attempts + 1 WHERE id IN"
                " (SELECT id FROM batch_jobs WHERE webhook_next_at <= now()"
                "  ORDER BY webhook_next_at LIMIT %s FOR UPDATE SKIP LOCKED)"
                " RETURNING webhook_url, webhook_attempts, retries, " + JOB_COLUMNS,
                [lease, limit],
            )
            return [
                Delivery(url, attempt, retries, Job(*job))
                for url, attempt, retries, *job in await cursor.fetchall()
            ]

    async def mark_delivered(self, delivery: Delivery) -> None:
        """Record that the receiver accepted the call."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE batch_jobs SET webhook_next_at = NULL, webhook_error = NULL,"
                " webhook_delivered_at = now() WHERE id = %s AND retries = %s",
                [delivery.job.id, delivery.retries],
            )

    async def mark_failed(self, delivery: Delivery, error: str, pause: timedelta | None) -> None:
        """Record the error, and retry after `pause`; None ends the attempts."""
        async with self._database.transaction() as connection:
            await connection.execute(
                "UPDATE batch_jobs SET webhook_next_at = now() + %s, webhook_error = %s"
                " WHERE id = %s AND retries = %s",
                [pause, error, delivery.job.id, delivery.retries],
            )
