"""Probes, scrapes and routes use paths that the services serve."""

from __future__ import annotations

import httpx2
import pytest

from slipway_core.probe_server import ProbeServer
from slipway_inference.app import Components, create_api
from slipway_inference.settings import InferenceSettings
from slipway_operator.desired import names

PRIVATE = {"/predictions", names.LIVENESS_PATH, names.READINESS_PATH, names.METRICS_PATH}
"""Routes that stay inside the cluster."""


PROBES = [names.LIVENESS_PATH, names.READINESS_PATH, names.METRICS_PATH]


def paths_of(settings: InferenceSettings) -> set[str]:
    api = create_api(Components.create(settings))
    return {getattr(route, "path", "") for route in api.routes}


@pytest.mark.parametrize("path", PROBES)
async def test_probes_and_scrapes_are_answered_at_their_port(path: str) -> None:
    server = ProbeServer(lambda: None)
    await server.start("127.0.0.1", 0)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
        assert (await client.get(path)).status_code == 200
    await server.close()


def test_the_public_port_has_them_only_where_they_have_no_port() -> None:
    assert set(PROBES) <= paths_of(InferenceSettings())
    in_a_cluster = paths_of(InferenceSettings(metrics_port=names.METRICS_PORT))
    assert in_a_cluster & set(PROBES) == set()
    assert names.SUMMARY_PATH in in_a_cluster


def test_every_route_is_either_public_or_private() -> None:
    unlisted = {
        path
        for path in paths_of(InferenceSettings())
        if path not in PRIVATE
        and not any(path == each or path.startswith(f"{each}/") for each in names.PUBLIC_PATHS)
    }
    assert unlisted == set()
