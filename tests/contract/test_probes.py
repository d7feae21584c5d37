"""Probes, scrapes and routes use paths that the services serve."""

from __future__ import annotations

import asyncio

import pytest

from slipway_batch.health import HealthServer
from slipway_inference.app import Components, create_api
from slipway_inference.settings import InferenceSettings
from slipway_operator.desired import names

PRIVATE = {"/predictions", names.LIVENESS_PATH, names.READINESS_PATH, names.METRICS_PATH}
"""Routes that stay inside the cluster."""


@pytest.fixture
def paths() -> set[str]:
    api = create_api(Components.create(InferenceSettings()))
    return {getattr(route, "path", "") for route in api.routes}


def test_inference_serves_probes_and_scrapes(paths: set[str]) -> None:
    assert {names.LIVENESS_PATH, names.READINESS_PATH, names.METRICS_PATH} <= paths


@pytest.mark.parametrize("path", [names.LIVENESS_PATH, names.READINESS_PATH, names.METRICS_PATH])
async def test_batch_workers_serve_probes_and_scrapes(path: str) -> None:
    server = HealthServer(lambda: True)
    await server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.1\r\n\r\n".encode())
    response = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    await server.close()
    assert response.split(b" ")[1] == b"200"


def test_every_route_is_either_public_or_private(paths: set[str]) -> None:
    unlisted = {
        path
        for path in paths
        if path not in PRIVATE
        and not any(path == each or path.startswith(f"{each}/") for each in names.PUBLIC_PATHS)
    }
    assert unlisted == set()
