"""Metrics of the backlog and of the stores, with and without workers."""

from __future__ import annotations

import asyncio
import re
from math import isnan, nan
from pathlib import Path

import httpx2
import pytest
from pydantic import SecretStr
from tests.fixtures.batch import Batch
from tests.fixtures.inference_app import open_app
from tests.fixtures.services import StartInference, kill_server

from slipway_cli.local.servers.valkey import ValkeyServer
from slipway_core.maintenance.backlog import measure
from slipway_core.maintenance.metrics import CHUNKS_WAITING, DEPENDENCY_UP, QUEUE_DEPTH
from slipway_core.store.chunks import ChunkRepository
from slipway_core.store.postgres.database import Database

pytestmark = pytest.mark.component


def values(text: str) -> dict[str, float]:
    """Return the series of the backlog and the dependencies in the text of /metrics."""
    lines = re.findall(r"^(slipway_(?:batch_queue|batch_chunks|dep)\S+) (\S+)$", text, re.M)
    return {name: float(value) for name, value in lines}


def value_of(gauge: object) -> float:
    (metric,) = gauge.collect()  # type: ignore[attr-defined]
    return next((float(sample.value) for sample in metric.samples), nan)


async def test_an_inference_server_without_workers_reports_the_backlog(batch: Batch) -> None:
    await batch.submit(["a"] * 170)
    settings = batch.settings.model_dump(
        include={"namespace", "deployment", "database_url", "redis_url"}
    )
    async with open_app(**settings) as (client, _), asyncio.timeout(20):
        while True:
            series = values((await client.get("/metrics")).text)
            if series["slipway_batch_chunks_waiting"] == series["slipway_batch_queue_depth"] == 4:
                break
            await asyncio.sleep(0.05)
    assert series["slipway_batch_chunks_running"] == 0
    assert series['slipway_dependency_up{dependency="database"}'] == 1
    assert series['slipway_dependency_up{dependency="queue"}'] == 1


async def test_an_unavailable_store_is_reported_as_down_without_figures(
    batch: Batch, valkey_server: ValkeyServer
) -> None:
    await measure(batch.database, batch.chunks, batch.doorbell)
    assert value_of(QUEUE_DEPTH) == value_of(CHUNKS_WAITING) == 0
    kill_server(valkey_server)
    await measure(batch.database, batch.chunks, batch.doorbell)
    assert isnan(value_of(QUEUE_DEPTH))
    assert value_of(DEPENDENCY_UP.labels("queue")) == 0
    assert value_of(DEPENDENCY_UP.labels("database")) == 1

    valkey_server.start()
    unavailable = batch.settings.model_copy(
        update={
            "database_url": SecretStr("postgresql://nobody@127.0.0.1:1/none"),
            "database_timeout_seconds": 0.5,
        }
    )
    database = await Database.open(unavailable)
    await measure(database, ChunkRepository(database, unavailable.queue_name), batch.doorbell)
    await database.close()
    assert isnan(value_of(CHUNKS_WAITING))
    assert value_of(DEPENDENCY_UP.labels("queue")) == 1
    assert value_of(DEPENDENCY_UP.labels("database")) == 0


def test_a_server_without_stores_has_no_metrics_of_them(
    start_inference: StartInference, deadly_package: Path
) -> None:
    server = start_inference(deadly_package)
    assert values(httpx2.get(server.url + "/metrics").text) == {}
