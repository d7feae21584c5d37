"""Row counts of what the platform stored, read from PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from uuid import UUID

from pydantic import SecretStr

from slipway_core.settings import ServiceSettings
from slipway_core.store.postgres.database import Database
from slipway_core.store.predictions import PredictionRepository
from slipway_core.store.results import count_results


@dataclass(frozen=True)
class StoredRows:
    """Rows of the prediction log, and result rows of one batch job."""

    predictions: int
    results: int


def count_stored_rows(database_url: str, task_id: str) -> StoredRows:
    """Count the rows at this moment. Raises StoreUnavailable."""
    return asyncio.run(_count(database_url, UUID(task_id)))


async def _count(database_url: str, job_id: UUID) -> StoredRows:
    settings = ServiceSettings(database_url=SecretStr(database_url), database_pool_size=1)
    database = await Database.open(settings)
    try:
        predictions = await PredictionRepository(database, settings.deployment_id).count()
        async with database.transaction() as connection:
            return StoredRows(predictions, await count_results(connection, job_id))
    finally:
        await database.close()
