"""The port of the probes and metrics: its answers, and its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, closing

import httpx2
import pytest

from slipway_core import probe_server
from slipway_core.errors import InvalidSettings, ModelNotReady
from slipway_core.probe_server import MAX_CONNECTIONS, MAX_REQUEST_BYTES, ProbeServer


class Service:
    """A service whose readiness a test sets."""

    def __init__(self) -> None:
        self.is_ready = True
        self.probes = ProbeServer(self.check_ready)

    def check_ready(self) -> None:
        if not self.is_ready:
            raise ModelNotReady("the model is loading")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    await service.probes.start("127.0.0.1", 0)
    yield service
    await service.probes.close()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{service.probes.port}") as client:
        yield client


async def _connect(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", service.probes.port)


async def _read_all(reader: asyncio.StreamReader) -> bytes:
    """Return what is received until the connection ends, in order or not."""
    received = b""
    try:
        async with asyncio.timeout(10):
            while chunk := await reader.read(65536):
                received += chunk
    except ConnectionError:
        pass
    return received


async def test_readiness_follows_the_service(service: Service, client: httpx2.AsyncClient) -> None:
    service.is_ready = False
    assert (await client.get("/livez")).status_code == 200
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.text == "ModelNotReady: the model is loading\n"
    service.is_ready = True
    assert (await client.get("/readyz?verbose")).status_code == 200


async def test_metrics_are_prometheus_text(client: httpx2.AsyncClient) -> None:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain")
    assert "process_cpu_seconds_total" in response.text


async def test_head_is_answered_as_get_without_a_body(client: httpx2.AsyncClient) -> None:
    response = await client.head("/livez")
    assert (response.status_code, response.content) == (200, b"")


async def test_other_requests_are_rejected(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/other")).status_code == 404
    assert (await client.post("/livez", content=b"x")).status_code == 405


async def test_a_port_in_use_is_reported(service: Service) -> None:
    other = ProbeServer(service.check_ready)
    with pytest.raises(InvalidSettings, match="SLIPWAY_METRICS_PORT"):
        await other.start("127.0.0.1", service.probes.port)
    await other.close()


async def test_a_connection_takes_one_request(service: Service) -> None:
    reader, writer = await _connect(service)
    with closing(writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
        assert (await _read_all(reader)).count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize("sent", [b"x" * 100, b"GET /livez HTTP/1.1\r\nX: " + b"x" * 100_000])
async def test_a_bad_or_large_request_ends_its_connection_alone(
    service: Service, client: httpx2.AsyncClient, sent: bytes
) -> None:
    reader, writer = await _connect(service)
    with closing(writer):
        writer.write(sent)
        assert len(await _read_all(reader)) < MAX_REQUEST_BYTES
    assert (await client.get("/livez")).status_code == 200


async def test_idle_connections_make_room_for_probes(
    service: Service, client: httpx2.AsyncClient
) -> None:
    async with AsyncExitStack() as stack:
        idle = []
        for _ in range(2 * MAX_CONNECTIONS):
            reader, writer = await _connect(service)
            stack.callback(writer.close)
            idle.append(reader)
        assert (await client.get("/livez")).status_code == 200
        assert await _read_all(idle[0]) == b""


async def test_a_connection_without_a_request_ends(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe_server, "MAX_CONNECTION_SECONDS", 0.05)
    reader, writer = await _connect(service)
    with closing(writer):
        assert await _read_all(reader) == b""
