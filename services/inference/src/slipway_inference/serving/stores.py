"""PostgreSQL and the queue, as far as they are configured, and their maintenance."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from slipway_core.errors import StoreUnavailable
from slipway_core.queue.contract import Doorbell
from slipway_core.store.records import PredictionRecord
from slipway_core.tasks import cancel_and_wait
from slipway_inference.serving.prediction_log import PredictionLog
from slipway_inference.settings import InferenceSettings

if TYPE_CHECKING:
    from slipway_core.store.jobs import JobRepository
    from slipway_core.store.postgres.database import Database
    from slipway_core.store.predictions import PredictionRepository

SWEEP_SECONDS = 10.0
"""Pause between two sweeps. Servers sweep too, because batch workers scale to zero."""


class Stores:
    """The stores of a server, which are opened and closed with it. The prediction log exists from
    the beginning, and is not open while there is no database.
    """

    def __init__(self, settings: InferenceSettings) -> None:
        self._settings = settings
        self.database: Database | None = None
        self.doorbell: Doorbell | None = None
        self.prediction_log = PredictionLog(max_rows=settings.log_queue_rows)
        self._jobs: JobRepository | None = None
        self._predictions: PredictionRepository | None = None
        self._maintaining: list[asyncio.Task[None]] = []

    @property
    def jobs(self) -> JobRepository:
        """Batch jobs. Raises StoreUnavailable when no database is configured."""
        if self._jobs is None:
            raise _no_database("batch jobs need")
        return self._jobs

    @property
    def predictions(self) -> PredictionRepository:
        """Logged predictions. Raises StoreUnavailable when no database is configured."""
        if self._predictions is None:
            raise _no_database("the prediction log needs")
        return self._predictions

    async def check_database(self) -> None:
        """Raise StoreUnavailable unless the database accepts writes, and SchemaMismatch unless it
        has the tables of this release. Call it only if `database` is open.
        """
        from slipway_core.store.schema.revision import check_schema

        assert self.database is not None  # noqa: S101 - the caller's part
        await check_schema(self.database)

    async def open(self) -> None:
        """Connect to what the settings name, and begin to write the log and to do maintenance.
        Stores that are away at the moment are connected to later.
        """
        if self._settings.database_url.get_secret_value():
            await self._open_database()
        if self._settings.redis_url.get_secret_value():
            from slipway_core.queue.doorbell import ArqDoorbell

            self.doorbell = await ArqDoorbell.connect(self._settings)
        if self.database:
            from slipway_core.maintenance.sweeper import keep_sweeping
            from slipway_core.maintenance.webhooks.sender import keep_delivering

            self._maintaining = [
                asyncio.create_task(
                    keep_sweeping(self.database, self.doorbell, self._settings, SWEEP_SECONDS)
                ),
                asyncio.create_task(keep_delivering(self.database, self._settings)),
            ]

    async def _open_database(self) -> None:
        # The driver is imported only where there is a database: without one the start stays quick.
        from slipway_core.store.capacity import DatabaseSpace
        from slipway_core.store.jobs import JobRepository
        from slipway_core.store.postgres.database import Database
        from slipway_core.store.predictions import PredictionRepository

        self.database = await Database.open(self._settings)
        self._jobs = JobRepository(self.database, self._settings)
        self._predictions = PredictionRepository(self.database, self._settings.deployment_id)
        self._space = DatabaseSpace(self.database, self._settings.database_max_bytes)
        self.prediction_log.start(self._insert_predictions)

    async def _insert_predictions(self, rows: list[PredictionRecord]) -> None:
        await self._space.check()
        await self.predictions.insert(rows)

    async def close(self) -> None:
        """Write what the prediction log still holds, and disconnect."""
        await cancel_and_wait(*self._maintaining)
        await self.prediction_log.close()
        if self.doorbell:
            await self.doorbell.close()
        if self.database:
            await self.database.close()


def _no_database(need: str) -> StoreUnavailable:
    return StoreUnavailable(f"{need} a database and none is configured: set SLIPWAY_DATABASE_URL")
