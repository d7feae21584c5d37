"""The prediction log: its rows and filters, and predictions without the database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.fixtures.inference_app import TABLE_MODEL, open_app
from tests.fixtures.services import StartInference, kill_server, wait_until

from slipway_cli.local.servers.postgres import PostgresServer
from slipway_inference.app import Components

pytestmark = pytest.mark.component


async def _log(
    client: httpx2.AsyncClient, components: Components, **query: Any
) -> list[dict[str, Any]]:
    """Wait until no rows are queued for the database, and return the log."""
    async with asyncio.timeout(20):
        while components.stores.prediction_log.waiting:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0.01)
    response = await client.get("/predictions", params=query)
    assert response.status_code == 200, response.text
    rows: list[dict[str, Any]] = response.json()["predictions"]
    return rows


async def test_a_prediction_becomes_a_row(database_url: str) -> None:
    async with open_app(database_url=database_url, payload_logging="all") as (client, components):
        headers = {"X-Request-ID": "req-1"}
        response = await client.post("/predict/text", json={"input_text": "four"}, headers=headers)
        (row,) = await _log(client, components)
    body = response.json()
    assert row.pop("created_at").endswith("+00:00")
    assert row.pop("latency_ms") > 0
    assert row == {
        "id": body["id"],
        "request_id": "req-1",
        "model": "mini",
        "version": "1.2",
        "model_digest": body["model_digest"],
        "modality": "text",
        "status": "ok",
        "input": "four",
        "prediction": {"embedding": [4.0, 0.1]},
        "tokens": 3,
    }


@pytest.mark.parametrize(
    ("setting", "logged_input", "logged_prediction"),
    [
        ("none", None, None),
        ("input", [[1, 2]], None),
        ("all", [[1, 2]], {"sum": 3}),
    ],
)
async def test_a_setting_selects_the_logged_payloads(
    database_url: str, setting: str, logged_input: Any, logged_prediction: Any
) -> None:
    async with open_app(TABLE_MODEL, database_url=database_url, payload_logging=setting) as (
        client,
        components,
    ):
        await client.post("/predict/tabular", json={"inputs": [[1, 2]]})
        (row,) = await _log(client, components)
    assert (row["input"], row["prediction"]) == (logged_input, logged_prediction)


async def test_failures_of_the_model_are_logged_but_rejected_requests_are_not(
    database_url: str,
) -> None:
    async with open_app(database_url=database_url) as (client, components):
        for body in (
            {"input_text": "broken"},
            {"input_text": "refused"},
            {"input_text": 3},
            {"input_text": "fine"},
        ):
            await client.post("/predict/text", json=body)
        rows = await _log(client, components)
        assert [row["status"] for row in rows] == ["ok", "InvalidInput", "PredictionFailed"]
        failed = await _log(client, components, status="PredictionFailed")
        assert [row["input"] for row in failed] == ["broken"]


async def test_the_log_is_filtered_and_paged(database_url: str) -> None:
    async with open_app(database_url=database_url) as (client, components):
        for number in range(5):
            await client.post("/predict/text", json={"input_text": f"text {number}"})
        newest_first = [row["input"] for row in await _log(client, components)]
        assert newest_first == [f"text {number}" for number in (4, 3, 2, 1, 0)]
        paged: list[str] = []
        url: str | None = "/predictions?limit=2&model=mini&since=2020-01-01"
        while url is not None:
            page = (await client.get(url)).json()
            paged += [row["input"] for row in page["predictions"]]
            url = page["next"]
        assert paged == newest_first
        assert await _log(client, components, model="other") == []
        assert await _log(client, components, version="9") == []
        assert await _log(client, components, until="2020-01-01T00:00:00Z") == []
        assert await _log(client, components, since="0001-01-01") != []
        assert await _log(client, components, since="9999-12-31T23:59:59Z") == []


def test_predictions_continue_without_the_database(
    echo_package: Path,
    start_inference: StartInference,
    database_url: str,
    postgres_server: PostgresServer,
) -> None:
    server = start_inference(
        echo_package, database_url=database_url, log_queue_rows=10, database_timeout_seconds=2
    )
    with httpx2.Client(base_url=server.url, timeout=30) as client:

        def predict() -> None:
            assert client.post("/predict/text", json={"input_text": "a"}).status_code == 200

        def health() -> dict[str, Any]:
            body: dict[str, Any] = client.get("/health").json()
            return body

        predict()
        wait_until(lambda: health()["prediction_log"]["written"] == 1, what="the first row")
        kill_server(postgres_server)
        wait_until(
            lambda: health()["database"] == "unavailable", what="the database to be unavailable"
        )
        for _ in range(30):
            predict()
        state = health()
        assert state["status"] == "degraded"
        assert state["prediction_log"]["dropped"] == 20
        assert client.get("/readyz").status_code == 200
        assert client.get("/predictions").status_code == 503
        rejected = client.post("/predict/text/batch", json={"inputs": ["a"]})
        assert rejected.json()["code"] == "StoreUnavailable"
        assert "slipway_prediction_log_rows_dropped_total 20.0" in client.get("/metrics").text
        postgres_server.start()
        wait_until(
            lambda: health()["prediction_log"]["waiting"] == 0, what="an empty queue of rows"
        )
        wait_until(lambda: health()["database"] == "ok", what="the database to be available")
        assert health()["prediction_log"]["written"] == 11
        assert len(client.get("/predictions").json()["predictions"]) == 11


def test_queued_rows_are_written_at_shutdown(
    echo_package: Path, start_inference: StartInference, database_url: str
) -> None:
    import psycopg

    server = start_inference(echo_package, database_url=database_url)
    with httpx2.Client(base_url=server.url) as client:
        for _ in range(7):
            client.post("/predict/text", json={"input_text": "a"})
    assert server.stop() == 0
    with psycopg.connect(database_url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM predictions").fetchone() or (0,)
    assert count == 7


async def test_large_payloads_are_logged_by_their_size(database_url: str) -> None:
    async with open_app(database_url=database_url, max_queue_tokens=10**7) as (client, components):
        texts = ["word " * 10_000] * 60
        response = await client.post("/predict/text", json={"inputs": texts})
        (row,) = await _log(client, components)
    assert response.status_code == 200
    assert list(row["input"]) == ["omitted_bytes"]
    assert row["input"]["omitted_bytes"] >= 60 * 50_000
    assert len(row["prediction"]["rows"]) == 60


async def test_a_page_of_large_rows_leads_to_the_next(database_url: str) -> None:
    async with open_app(database_url=database_url, max_queue_tokens=10**7) as (client, components):
        for _ in range(12):
            await client.post("/predict/text", json={"input_text": "w" * 1_000_000})
        await _log(client, components)
        path, pages, ids = "/predictions?limit=1000", 0, set()
        while path:
            page = (await client.get(path)).json()
            pages += 1
            ids |= {row["id"] for row in page["predictions"]}
            path = page["next"]
    assert (pages, len(ids)) == (2, 12)
