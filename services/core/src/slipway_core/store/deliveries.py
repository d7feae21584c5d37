"""Webhook calls to make. They are stored with the job, so that none is lost in a restart."""

from __future__ import annotations

from datetime import timedelta
from typing import LiteralString

from slipway_core.store.jobs import JOB_COLUMNS
from slipway_core.store.postgres.database import Database
from slipway_core.store.records import Delivery, Job

# Host and port as they are in the URL, which has no user name.
_RECEIVER: LiteralString = "lower(substring(webhook_url FROM '^[^:]+://([^/?#]*)'))"
# A row that another process has claimed meanwhile is not due any more.
_CLAIM = (
    "UPDATE batch_jobs SET webhook_next_at = now() + %(lease)s,"
    " webhook_attempts = webhook_attempts + 1 WHERE id IN"
    " (SELECT id FROM batch_jobs WHERE webhook_next_at <= now() AND id IN"
    "   (SELECT id FROM (SELECT id, webhook_attempts, webhook_next_at, row_number() OVER"
    f"      (PARTITION BY {_RECEIVER} ORDER BY webhook_attempts, webhook_next_at) AS place"
    f"     FROM batch_jobs WHERE webhook_next_at <= now() AND {_RECEIVER} <> ALL(%(busy)s)) AS due"
    "    WHERE place <= %(max_per_receiver)s"
    "    ORDER BY webhook_attempts, webhook_next_at LIMIT %(limit)s)"
    "  FOR UPDATE SKIP LOCKED)"
    f" RETURNING webhook_url, {_RECEIVER}, webhook_attempts, retries, " + JOB_COLUMNS
)


class DeliveryRepository:
    """The webhook calls that are due. All methods raise StoreUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim_due(
        self, lease: timedelta, limit: int, *, max_per_receiver: int, busy_receivers: list[str]
    ) -> list[Delivery]:
        """Lease at most `limit` calls that are due, and count an attempt for each.

        The fewer attempts, the earlier: receivers that do not answer do not delay the first calls
        to others. `busy_receivers` are left out, and others get at most `max_per_receiver` calls.
        """
        async with self._database.transaction() as connection:
            cursor = await connection.execute(
                _CLAIM,
                {
                    "lease": lease,
                    "limit": limit,
                    "max_per_receiver": max_per_receiver,
                    "busy": busy_receivers,
                },
            )
            return [
                Delivery(url, receiver, attempt, retries, Job(*job))
                for url, receiver, attempt, retries, *job in await cursor.fetchall()
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
