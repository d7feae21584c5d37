"""The worker's probes and metrics over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx2
import pytest

from slipway_batch.health import HealthServer
from slipway_core.errors import InvalidSettings


class Worker:
    ready = False


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    server = HealthServer(lambda: Worker.ready)
    await server.start("127.0.0.1", 0)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        yield client
    await server.close()


async def test_readiness_follows_the_worker(client: httpx2.AsyncClient) -> None:
    Worker.ready = False
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/readyz")).status_code == 503
    Worker.ready = True
    assert (await client.get("/readyz?verbose")).status_code == 200


async def test_metrics_are_prometheus_text(client: httpx2.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "process_cpu_seconds_total" in response.text


async def test_other_requests_are_rejected(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/other")).status_code == 404
    assert (await client.post("/livez")).status_code == 405


async def test_a_port_in_use_is_reported() -> None:
    first, second = HealthServer(lambda: True), HealthServer(lambda: True)
    await first.start("127.0.0.1", 0)
    with pytest.raises(InvalidSettings, match="SLIPWAY_METRICS_PORT"):
        await second.start("127.0.0.1", first.port)
    await first.close()


async def test_an_invalid_request_is_dropped_and_the_server_goes_on(
    client: httpx2.AsyncClient,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(b"x" * 100_000)
    await writer.drain()
    with suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()
    assert (await client.get("/livez")).status_code == 200
